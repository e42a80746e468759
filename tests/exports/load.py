"""Many short connections to itself, one after the other; then waits until somebody has looked."""
import socket, sys

listener = socket.create_server(("127.0.0.1", 0))
for _ in range(int(sys.argv[1])):
    client = socket.create_connection(listener.getsockname())
    peer, _ = listener.accept()
    client.sendall(b"question")
    peer.sendall(peer.recv(100)[:6])
    assert client.recv(100) == b"questi"
    peer.close()
    client.close()
listener.close()
print("done", flush=True)
sys.stdin.read()

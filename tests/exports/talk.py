"""Both ends of everything in one process: what is said is the same every time."""
import os, socket, sys, threading

folder = sys.argv[1]


def stream(family, address, path=None):
    """A request, an answer in two pieces after a half-close, and who closes first in turns."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen()

    def serve():
        peer, _ = listener.accept()
        request = b""
        while chunk := peer.recv(4096):
            request += chunk
        peer.sendall(b"you said: ")
        peer.sendall(request)
        peer.close()

    server = threading.Thread(target=serve)
    server.start()
    client = socket.socket(family, socket.SOCK_STREAM)
    client.connect(listener.getsockname())
    client.sendall(b"hello over " + path)
    client.shutdown(socket.SHUT_WR)
    answer = b""
    while chunk := client.recv(7):
        answer += chunk
    client.close()
    server.join()
    listener.close()
    assert answer == b"you said: hello over " + path, answer


stream(socket.AF_INET, ("127.0.0.1", 0), b"IPv4")
stream(socket.AF_INET6, ("::1", 0), b"IPv6")
stream(socket.AF_UNIX, os.path.join(folder, "talk.sock"), b"AF_UNIX")
stream(socket.AF_UNIX, "\0sockshim-talk-%d" % os.getpid(), b"an abstract name")

# More than one packet can hold, and more than a socket's buffer: the writer has to wait for the reader.
a, b = socket.socketpair()
sender = threading.Thread(target=lambda: (a.sendall(b"x" * 400000), a.shutdown(socket.SHUT_WR)))
sender.start()
count = 0
while chunk := b.recv(50000):
    count += len(chunk)
sender.join()
assert count == 400000, count
a.close()
b.close()

for family, address in [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]:
    with socket.socket(family, socket.SOCK_DGRAM) as asked, socket.socket(family, socket.SOCK_DGRAM) as asking:
        asked.bind((address, 0))  # the other gets its port by sending
        asking.sendto(b"ping", asked.getsockname())
        message, sender = asked.recvfrom(100)
        asked.sendto(b"pong to " + message, sender)
        assert asking.recv(100) == b"pong to ping"

# Nobody listens there.
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
with socket.socket() as refused:
    try:
        refused.connect(("127.0.0.1", port))
        raise SystemExit("somebody listens")
    except ConnectionRefusedError:
        pass

# Closed with something unread: a reset.
listener = socket.create_server(("127.0.0.1", 0))
found = socket.getaddrinfo("localhost", listener.getsockname()[1], socket.AF_INET, socket.SOCK_STREAM)
client = socket.create_connection(found[0][4])
peer, _ = listener.accept()
client.sendall(b"never read")
peer.recv(1, socket.MSG_PEEK)
peer.close()
try:
    client.recv(1)
    raise SystemExit("no reset")
except ConnectionResetError:
    pass
client.close()
listener.close()
print("talked")

"""One machine of a fleet: `serve N` answers N connections, `ask ADDRESS PORT N` makes N, and one to itself."""
import socket, sys, threading


def answer(listener, count):
    for _ in range(count):
        peer, _ = listener.accept()
        while chunk := peer.recv(4096):
            peer.sendall(chunk)
        peer.close()
    listener.close()


def ask(address, text):
    client = socket.create_connection(address)
    client.sendall(text)
    client.shutdown(socket.SHUT_WR)
    while client.recv(4096):
        pass
    return client


if sys.argv[1] == "serve":
    listener = socket.create_server(("0.0.0.0", 0))
    print(listener.getsockname()[1], flush=True)
    answer(listener, int(sys.argv[2]))
else:
    address, port, count = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    for number in range(count):
        client = ask((address, port), b"x" * (1000 + number))
        print("%s:%d" % client.getsockname()[:2], flush=True)
        # The last one is never closed.
        client.close() if number + 1 < count else client.detach()
    own = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=answer, args=(own, 1))
    thread.start()
    ask(own.getsockname(), b"to myself").close()
    thread.join()

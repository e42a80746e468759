"""A small shop and its customers, for the pictures of the gallery: fast answers, slow ones, large ones, one port
where nobody listens, and one customer who forgets to close."""

import http.client
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep({"/slow": 0.06, "/report": 0.02}.get(self.path, 0.002))
        body = b"x" * {"/report": 180_000, "/slow": 9_000}.get(self.path, 400)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def ask(port, path):
    shop = http.client.HTTPConnection("localhost", port)
    shop.request("GET", path)
    shop.getresponse().read()
    shop.close()


def customer(port, number):
    for path in ["/", "/list", "/slow" if number % 3 == 0 else "/item", "/report" if number % 4 == 1 else "/basket"]:
        time.sleep(0.004 * (number % 5 + 1))
        ask(port, path)


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    port = server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    customers = [threading.Thread(target=customer, args=(port, number)) for number in range(7)]
    for one in customers:
        one.start()
        time.sleep(0.012)
    closed = socket.create_server(("127.0.0.1", 0))
    nobody = closed.getsockname()
    closed.close()
    try:
        socket.create_connection(nobody)
    except ConnectionRefusedError:
        pass
    for one in customers:
        one.join()
    forgotten = socket.create_connection(("localhost", port))
    forgotten.detach()
    server.shutdown()
    server.server_close()


main()

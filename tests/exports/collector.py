"""A collector: tells its port, answers as it is told, keeps what it took in the file `accepted`, and says what it was
asked once nobody needs it any longer.

Answers are STATUS or STATUS:RETRY-AFTER, one after the other; from then on it takes all. `never` takes no connection."""
import http.server, socket, sys, threading
from otlp import decode

answers = sys.argv[1:]
said = []


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        said.append(f"{self.path} {self.headers['Content-Type']}")
        status, _, after = (answers.pop(0) if answers else "200").partition(":")
        if status == "200":
            decode(body)
            with open("accepted", "ab") as accepted:
                accepted.write(body)
        answer = {"200": b'{"partialSuccess":{}}', "part": b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"full"}}'}
        body = answer.get(status, b'{"message":"not now"}')
        self.send_response(200 if status == "part" else int(status))
        if after:
            self.send_header("Retry-After", after)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if answers == ["never"]:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
else:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(port, flush=True)
sys.stdin.read()
print(*said, sep="\n")

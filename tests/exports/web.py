"""Python's web server, and curl as its client: two processes that are traced together."""
import http.server, subprocess, sys, threading

with open("page", "w") as page:
    page.write("a line of the page\n" * 1000)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
server.RequestHandlerClass.log_message = lambda *_: None
threading.Thread(target=server.serve_forever, daemon=True).start()
url = "http://localhost:%d/page" % server.server_address[1]
subprocess.run(["curl", "-s", "-S", "-o", sys.argv[1], url], check=True)
server.shutdown()
server.server_close()

"""An HTTP server for activities to reach."""

import http.server
import threading


class Peer:
    """An HTTP server on loopback that keeps what it was sent."""

    def __init__(self):
        self.requests: list[tuple[str, dict]] = []
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                peer.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                redirect = self.path.startswith("/redirect?to=")
                self.send_response(302 if redirect else 200)
                if redirect:
                    self.send_header("location", self.path.partition("to=")[2])
                # One that is cut off says that more will come than does.
                self.send_header("content-length", "40" if self.path == "/cut" else "4")
                self.end_headers()
                self.wfile.write(b"peer")

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

"""A receiver of webhooks on loopback, for tests: takes whatever is posted to it, and judges nothing."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Taker:
    """Takes what is posted to it, and answers with `status`."""

    def __init__(self):
        taker, self.status, self.messages = self, 204, []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                taker.messages.append((dict(self.headers.items()), body))
                self.send_response(taker.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?token=secret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self):
        """Kind and event of each alert that came."""
        alerts = [json.loads(body) for _, body in self.messages]
        return [(alert["type"], (alert["data"]["event_key"] or "").partition("#")[2]) for alert in alerts]


@contextmanager
def taking():
    """One of them, while a test runs."""
    taker = Taker()
    yield taker
    taker.server.shutdown()
    taker.server.server_close()

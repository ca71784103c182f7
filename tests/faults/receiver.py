"""A webhook receiver in this process: it verifies what comes, remembers it, and now and then says that it could not."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

BUSY_EVERY = 20
"""Of so many alerts, one is answered with 503 when it first comes."""


class Receiver:
    """What it got.

    Attributes:
        alerts: alert id -> the alert as it first came.
        counts: alert id -> how often it was taken.
        wrong: what should not have come: another alert under the same id, or a wrong signature.
    """

    def __init__(self) -> None:
        self.alerts: dict[str, dict] = {}
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.secret = ""
        self._lock = threading.Lock()
        self._refused: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.take(dict(self.headers.items()), body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_args) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Take one message; the status of the answer."""
        headers = {name.lower(): text for name, text in headers.items()}
        alert = json.loads(body)["data"]
        with self._lock:
            try:
                Webhook(self.secret).verify(body, headers)
            except WebhookVerificationError as failure:
                self.wrong.append(f"{failure!r}")
                return 401
            name = headers["webhook-id"]
            if name != alert["alert_id"]:
                self.wrong.append(f"webhook-id {name}, alert {alert['alert_id']}")
            if name not in self._refused and int(name[-4:], 16) % BUSY_EVERY == 0:
                self._refused.add(name)
                return 503
            self.alerts.setdefault(name, alert)
            self.counts[name] += 1
            return 204

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

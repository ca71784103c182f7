"""A webhook receiver on loopback that does what a good one does: verify the signature, remember the id, answer at once.

It tells its parent what came in, one JSON object a line on standard output, and takes its secret from standard input.
Run as `python -m streams.embedded.receiver` by `LocalReceiver`, nobody else. It keeps nothing and acts on nothing.
"""

import asyncio
import json
import sys
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue

from aiohttp import web

from ledger.errors import LedgerUnavailable
from streams.embedded.children import Child, Register, end_all
from streams.webhooks.signing import WrongSignature, verify

SECRET_PATIENCE_S = 3.0
"""How long a message waits here for the secret that it is to be verified with."""

START_S = 15.0


class LocalReceiver:
    """The receiver, as its parent sees it.

    Attributes:
        url: where it listens.
        verified: messages whose signature was right, each id once.
        repeated: messages with an id that was seen before.
        refused: messages whose signature was wrong.
    """

    def __init__(self, folder: Path, register: Register) -> None:
        """Start it.

        Args:
            folder: where its log goes.
            register: the list of the guard that ends it.

        Raises:
            LedgerUnavailable: it did not come up; says why.
        """
        command = [sys.executable, "-m", "streams.embedded.receiver"]
        self.child = Child("receiver", command, log=folder / "receiver.log", register=register, piped=True)
        self.verified = self.repeated = self.refused = 0
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            self.url: str = json.loads(self._lines.get(timeout=START_S))["url"]
        except (Empty, ValueError):
            end_all([self.child])
            raise LedgerUnavailable(f"the local receiver did not start: {self.child.log_tail(5)}") from None

    def tell_secret(self, secret: str) -> None:
        """Tell it what to verify signatures with."""
        assert self.child.process.stdin is not None
        self.child.process.stdin.write(json.dumps({"secret": secret}).encode() + b"\n")
        self.child.process.stdin.flush()

    def count(self) -> None:
        """Bring the counts up to date."""
        while True:
            try:
                told = json.loads(self._lines.get_nowait())
            except (Empty, ValueError):
                return
            self.verified, self.repeated, self.refused = told["verified"], told["repeated"], told["refused"]

    def _listen(self) -> None:
        assert self.child.process.stdout is not None
        for line in self.child.process.stdout:
            self._lines.put(line)
        self._lines.put(b"")


class _Receiver:
    """The child's side: one route."""

    def __init__(self) -> None:
        self._secret: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._seen: set[str] = set()
        self._counts = {"verified": 0, "repeated": 0, "refused": 0}

    async def receive(self, request: web.Request) -> web.Response:
        """Take one message."""
        body = await request.read()
        try:
            secret = await asyncio.wait_for(asyncio.shield(self._secret), SECRET_PATIENCE_S)
        except TimeoutError:
            return web.Response(status=503, text="no secret yet")
        try:
            verify([secret], request.headers, body, now_s=time.time())
        except WrongSignature as failure:
            return self._answer("refused", 401, str(failure))
        message_id = request.headers["webhook-id"]
        if message_id in self._seen:
            return self._answer("repeated", 200, "seen before")
        self._seen.add(message_id)
        return self._answer("verified", 200, "verified")

    async def read_secret(self) -> None:
        """Take the secret from the parent; returns when the parent is gone."""
        loop = asyncio.get_running_loop()
        told = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
        async for line in told:
            if not self._secret.done():
                self._secret.set_result(json.loads(line)["secret"])

    def _answer(self, count: str, status: int, text: str) -> web.Response:
        self._counts[count] += 1
        _tell(self._counts)
        return web.Response(status=status, text=text)


def _tell(said: object) -> None:
    print(json.dumps(said), flush=True)  # noqa: T201  the way to the parent


async def _serve() -> None:
    receiver = _Receiver()
    app = web.Application()
    app.router.add_post("/", receiver.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    _tell({"url": f"http://127.0.0.1:{port}/"})
    await receiver.read_secret()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve())

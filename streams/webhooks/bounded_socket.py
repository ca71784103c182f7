"""A socket that takes no more from a receiver than an answer needs, and that in small pieces.

An HTTP client reads interim answers (1xx) for as long as they come, all that have come before it lets anybody else go
on. So a receiver that sends nothing else would hold up every other webhook for as long as an attempt may take.
"""

import socket
from typing import Any

HEARD_MAX = 256 * 1024
"""Bytes taken after each thing that was said. A client stops reading a body that nobody asks for long before that."""

AT_ONCE = 16 * 1024
"""Bytes taken at a time."""


class BoundedSocket(socket.socket):
    """A socket on which a flood is a connection that was aborted."""

    _heard = 0

    def send(self, *arguments: Any) -> int:
        """As any socket's: from here on it is listened to anew."""
        self._heard = 0
        return super().send(*arguments)

    def sendmsg(self, *arguments: Any) -> int:
        """As `send`."""
        self._heard = 0
        return super().sendmsg(*arguments)

    def recv(self, count: int, *flags: int) -> bytes:
        """As any socket's, but not for ever.

        Raises:
            ConnectionAbortedError: the other side says more than an answer needs.
        """
        said = super().recv(min(count, AT_ONCE), *flags)
        self._take_note(len(said))
        return said

    def recv_into(self, buffer: Any, *arguments: int) -> int:
        """As `recv`; by it TLS reads."""
        count = super().recv_into(memoryview(buffer)[:AT_ONCE], *arguments)
        self._take_note(count)
        return count

    def _take_note(self, count: int) -> None:
        self._heard += count
        if self._heard > HEARD_MAX:
            raise ConnectionAbortedError("the receiver sends without end and does not answer")

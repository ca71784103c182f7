"""What a name means, asked so that a name whose servers do not answer holds up no other, nor the end of the process.

Asyncio's own threads are few, and a lookup cannot be called back: some hanging names would occupy all of them. Here
every lookup has a thread of its own, which is let go of when it takes too long.
"""

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

RESOLVE_S = 5.0


async def addresses_of(host: str, port: int, family: int = socket.AF_UNSPEC) -> list[tuple[Any, ...]]:
    """The addresses of a host, as `socket.getaddrinfo` gives them.

    Raises:
        OSError: it has none, or they were not told within RESOLVE_S (TimeoutError).
        UnicodeError: it is no name.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

    def tell(found: list[tuple[Any, ...]] | Exception) -> None:
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def look_up() -> None:
        found: list[tuple[Any, ...]] | Exception
        try:
            found = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family))
        except (OSError, UnicodeError) as failure:
            found = failure
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=look_up, name=f"looks up {host}", daemon=True).start()
    async with asyncio.timeout(RESOLVE_S):
        return await answer


class Resolver(AbstractResolver):
    """The same for aiohttp."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host."""
        return [
            ResolveResult(
                hostname=host, host=address[0], port=address[1], family=found, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for found, _, proto, _, address in await addresses_of(host, port, family)
        ]

    async def close(self) -> None:
        """Nothing to do."""

"""What a receiver may say to one request is bounded, by TLS (which reads into a buffer) or without."""

import socket
from collections.abc import Callable, Iterator

import pytest

from streams.webhooks.bounded_socket import AT_ONCE, HEARD_MAX, BoundedSocket

HEAR: dict[str, Callable[[BoundedSocket], int]] = {
    "recv": lambda here: len(here.recv(1 << 20)),
    "recv_into": lambda here: here.recv_into(bytearray(1 << 20)),
}
SAY: dict[str, Callable[[BoundedSocket], int]] = {
    "send": lambda here: here.send(b"."),
    "sendmsg": lambda here: here.sendmsg([b"."]),
}


@pytest.fixture
def pair() -> Iterator[tuple[BoundedSocket, socket.socket]]:
    left, there = socket.socketpair()
    with BoundedSocket(fileno=left.detach()) as here, there:
        yield here, there


def listen(here: BoundedSocket, there: socket.socket, how: str, total: int) -> None:
    while total > 0:
        there.sendall(b"." * min(total, 2 * AT_ONCE))
        for _ in range(2):
            if total > 0:
                heard = HEAR[how](here)
                assert 0 < heard <= AT_ONCE
                total -= heard


@pytest.mark.parametrize("how", HEAR)
def test_a_flood_is_a_connection_that_was_aborted(pair: tuple[BoundedSocket, socket.socket], how: str) -> None:
    listen(*pair, how, HEARD_MAX)
    with pytest.raises(ConnectionAbortedError, match="without end"):
        listen(*pair, how, 1)


@pytest.mark.parametrize("how", HEAR)
@pytest.mark.parametrize("say", SAY)
def test_every_request_of_a_connection_is_answered_anew(
    pair: tuple[BoundedSocket, socket.socket], how: str, say: str
) -> None:
    for _ in range(3):
        SAY[say](pair[0])
        listen(*pair, how, HEARD_MAX)

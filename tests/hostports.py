"""Ports of this host for tests: each is given once, to one of the processes that tests run in."""

import contextlib
import itertools
import os
import random
import socket

_LOWEST, _HIGHEST = 20_000, 32_768
"""Below those that the kernel gives to whoever asks for any."""
_UDP = socket.SOCK_DGRAM
_WORKERS = 4
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_SHARE = (_HIGHEST - _LOWEST) // _WORKERS
_first = random.SystemRandom().randrange(_SHARE)
_ports = (_LOWEST + _worker * _SHARE + (_first + step) % _SHARE for step in itertools.count())
"""Begun anywhere in a worker's share, as another session may run on the same host."""


def free_port() -> int:
    """Return a port that nobody has, neither for TCP nor for UDP."""
    for port in itertools.islice(_ports, _SHARE):
        with (
            contextlib.suppress(OSError),
            socket.socket() as stream,
            socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        ):
            stream.bind(("", port))
            datagrams.bind(("", port))
            return port
    raise AssertionError("all ports are taken")

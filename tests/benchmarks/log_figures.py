"""Reading logs: one very long line, and the end of very many."""

import asyncio
import pathlib
import time

from agent.engine.containers import logs
from tests.benchmarks import figures

LONG_LINE = 30_000_000
LINES = 424_000
_STAMP = b"2026-01-02T00:00:00.000000000+00:00 stdout "


def measure(folder: pathlib.Path, rounds: int) -> list[figures.Figure]:
    """Read logs as conmon writes them."""
    long, many = folder / "long.log", folder / "many.log"
    part = _STAMP + b"P " + b"x" * 8192 + b"\n"
    long.write_bytes(part * (LONG_LINE // 8192) + _STAMP + b"F end\n")
    many.write_bytes(b"".join(_STAMP + b"F line %d of many\n" % number for number in range(LINES)))
    return [
        figures.Figure("logs: one line of 30 MB", "s", _times(long, logs.Query(), rounds), reach="< 0.5 s"),
        figures.Figure("logs: --tail 3 of 424,000", "s", _times(many, logs.Query(tail=3), rounds), reach="< 0.2 s"),
        figures.Figure("logs: all of 424,000 lines", "s", _times(many, logs.Query(), rounds), reach="linear"),
    ]


def _times(log: pathlib.Path, query: logs.Query, rounds: int) -> tuple[float, ...]:
    return tuple(asyncio.run(_time(log, query)) for _ in range(rounds))


async def _time(log: pathlib.Path, query: logs.Query) -> float:
    begun = time.perf_counter()
    async for _ in logs.read(log, query, lambda: False):
        pass
    return time.perf_counter() - begun

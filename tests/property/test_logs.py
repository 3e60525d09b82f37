"""Whatever a container has written, in whatever pieces and files: its log has all of it, and its end is its end."""

import pathlib
import tempfile

import hypothesis
import pytest
from hypothesis import strategies

from agent.engine.containers import log_files, log_format, logs

BEGIN = ("", "B", b"")
PIECES = strategies.one_of(
    strategies.tuples(
        strategies.sampled_from(["stdout", "stderr"]),
        strategies.sampled_from(["F", "P"]),
        strategies.binary(max_size=3).map(lambda data: data.replace(b"\n", b"-")),
    ),
    strategies.just(BEGIN),
)
FILES = strategies.lists(strategies.lists(PIECES, max_size=12), min_size=1, max_size=4)


def raw(stream: str, tag: str, data: bytes) -> bytes:
    """Return a piece as it stands in a log."""
    if tag == "B":
        return log_format.begin_line(1767312000.0)
    return f"2026-01-02T00:00:00.000000000+00:00 {stream} {tag} ".encode() + data + b"\n"


def expected(pieces: list[tuple[str, str, bytes]]) -> list[tuple[str, bytes]]:
    """Return the lines that pieces are, by the plainest means."""
    lines: list[tuple[str, bytes]] = []
    parts: dict[str, bytes] = {}
    for stream, tag, data in [*pieces, BEGIN]:
        if tag == "B":
            lines += parts.items()
            parts.clear()
        elif tag == "P":
            parts[stream] = parts.get(stream, b"") + data
        else:
            lines.append((stream, parts.pop(stream, b"") + data))
    return lines


def write(folder: pathlib.Path, files: list[list[tuple[str, str, bytes]]]) -> pathlib.Path:
    """Write a log's files, the oldest first, and return the newest one's path."""
    log = folder / "container.log"
    for number, pieces in enumerate(reversed(files)):
        name = f"container.log.{number}" if number else "container.log"
        (folder / name).write_bytes(b"".join(raw(*piece) for piece in pieces))
    return log


async def read(log: pathlib.Path, query: logs.Query) -> list[tuple[str, bytes]]:
    return [(entry.stream, entry.data) async for entry in logs.read(log, query, lambda: False)]


@hypothesis.given(FILES, strategies.integers(0, 12))
async def test_tail__is_the_end_of_everything(files: list[list[tuple[str, str, bytes]]], tail: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = write(pathlib.Path(folder), files)
        lines = expected([piece for pieces in files for piece in pieces])
        assert await read(log, logs.Query()) == lines
        assert await read(log, logs.Query(follow=True)) == lines
        assert await read(log, logs.Query(tail=tail)) == lines[max(len(lines) - tail, 0) :]
        assert await read(log, logs.Query(tail=tail, since=1.0)) == lines[max(len(lines) - tail, 0) :]


@hypothesis.given(FILES, strategies.integers(0, 6), strategies.integers(1, 200))
def test_what_is_left_out__is_not_needed(files: list[list[tuple[str, str, bytes]]], tail: int, block: int) -> None:
    """The same with blocks of some bytes, so that a search ends in the middle of a file."""
    with tempfile.TemporaryDirectory() as folder:
        log = write(pathlib.Path(folder), files)
        with pytest.MonkeyPatch.context() as patch, log_files.LogFiles(log) as opened:
            patch.setattr(log_files, "_CHUNK", block)
            patch.setattr(log_files, "_LAST_CHUNK", block)
            opened.skip_to_last(tail)
            assembler = log_format.Assembler()
            entries = [entry for batch in opened.batches() for entry in assembler.entries(batch)]
            entries += assembler.unended()
        lines = expected([piece for pieces in files for piece in pieces])
        kept = [(entry.stream, entry.data) for entry in entries][max(len(entries) - tail, 0) :]
        assert kept == lines[max(len(lines) - tail, 0) :]

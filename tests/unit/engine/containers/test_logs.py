"""A container's log: put together from parts and rotated files, followed over a rotation, sound whatever is in it."""

import asyncio
import os
import pathlib
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.engine.containers import logs

DAY = "2026-01-02"
MIDNIGHT = 1767312000.0
"""2026-01-02T00:00:00+00:00."""


def line(second: int, text: str, stream: str = "stdout", tag: str = "F") -> str:
    """Give a line as conmon writes it."""
    return f"{DAY}T00:00:{second:02}.000000000+00:00 {stream} {tag} {text}\n"


@pytest.fixture
def log(tmp_path: pathlib.Path) -> pathlib.Path:
    """Give the path of a log that is not there yet."""
    return tmp_path / "container.log"


@pytest.fixture
def control(tmp_path: pathlib.Path) -> Iterator[tuple[pathlib.Path, int]]:
    """Give conmon's control fifo, and its end of it."""
    path = tmp_path / "ctl"
    os.mkfifo(path)
    listening = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, listening
    os.close(listening)


def told(listening: int) -> bytes:
    """Give what conmon was told."""
    try:
        return os.read(listening, 100)
    except BlockingIOError:
        return b""


async def texts(path: pathlib.Path, **query: object) -> list[str]:
    """Read a log whose container has ended."""
    return [entry.text async for entry in logs.read(path, logs.Query(**query), lambda: False)]


async def test_read__whole_lines__have_time_stream_and_text(log) -> None:
    log.write_text(line(1, "out  with spaces ") + line(2, "err", "stderr") + line(3, ""))
    assert [entry async for entry in logs.read(log, logs.Query(), lambda: False)] == [
        logs.Entry(MIDNIGHT + 1, "stdout", "out  with spaces "),
        logs.Entry(MIDNIGHT + 2, "stderr", "err"),
        logs.Entry(MIDNIGHT + 3, "stdout", ""),
    ]


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        (f"{DAY}T00:00:00.123456789+00:00", MIDNIGHT + 0.123456789),
        (f"{DAY}T02:00:00.5+02:00", MIDNIGHT + 0.5),
        (f"{DAY}T00:00:00.25Z", MIDNIGHT + 0.25),
        (f"{DAY}T00:00:00+00:00", MIDNIGHT),
        ("yesterday", 0.0),
        ("", 0.0),
    ],
)
async def test_read__stamps__are_seconds(log, stamp: str, seconds: float) -> None:
    log.write_text(f"{stamp} stdout F text\n")
    (entry,) = [entry async for entry in logs.read(log, logs.Query(), lambda: False)]
    assert entry.time == pytest.approx(seconds, abs=1e-6)


async def test_read__parts__are_one_line_for_each_stream(log) -> None:
    log.write_text(
        line(1, "one ", tag="P") + line(2, "err ", "stderr", "P") + line(3, "line") + line(4, "too", "stderr")
    )
    found = [(entry.stream, entry.text) async for entry in logs.read(log, logs.Query(), lambda: False)]
    assert found == [("stdout", "one line"), ("stderr", "err too")]


async def test_read__parts_over_a_rotation__are_one_line(log) -> None:
    log.with_name("container.log.1").write_text(line(1, "begun ", tag="P"))
    log.write_text(line(2, "ended"))
    assert await texts(log) == ["begun ended"]


async def test_read__rotated_files__the_oldest_first(log) -> None:
    for number in (1, 2, 10):
        log.with_name(f"container.log.{number}").write_text(line(20 - number, f"file {number}"))
    log.write_text(line(20, "now"))
    assert await texts(log) == ["file 10", "file 2", "file 1", "now"]


async def test_read__only_rotated_files__are_read(log) -> None:
    log.with_name("container.log.1").write_text(line(1, "old"))
    assert await texts(log) == ["old"]


async def test_read__files_that_are_no_logs__are_left_alone(log) -> None:
    for name in ("container.log.tmp", "container.log.", "container.log.1.gz", "container.log.²"):
        log.with_name(name).write_text(line(1, name))
    log.write_text(line(2, "log"))
    assert await texts(log) == ["log"]


async def test_read__no_log__is_empty(log) -> None:
    assert await texts(log) == []
    assert await texts(log, follow=True) == []


async def test_read__garbage__is_passed_over_or_shown_never_fatal(log) -> None:
    log.write_bytes(
        b"\n"
        b"one two\n"
        b"\xff\xfe\x00 stdout F \xff bytes\n"
        b"time stream\n" + line(1, "sound").encode() + b"2026-01-02T00:00:02.0+00:00 stdout F cut of"
    )
    assert await texts(log) == ["� bytes", "sound"]


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ({"tail": 0}, []),
        ({"tail": 2}, ["3", "4"]),
        ({"tail": 9}, ["1", "2", "3", "4"]),
        ({"since": MIDNIGHT + 3}, ["3", "4"]),
        ({"since": MIDNIGHT + 9}, []),
        ({"since": MIDNIGHT + 2, "tail": 1}, ["4"]),
        ({"since": MIDNIGHT + 4, "tail": 3}, ["4"]),
    ],
)
async def test_read__tail_and_since__over_all_files(log, query: dict[str, object], left: list[str]) -> None:
    log.with_name("container.log.1").write_text(line(1, "1") + line(2, "2"))
    log.write_text(line(3, "3") + line(4, "4"))
    assert await texts(log, **query) == left


class Followed:
    """A log that is followed while a test writes it."""

    def __init__(self, log: pathlib.Path, query: logs.Query) -> None:
        self.runs = True
        self._entries: AsyncIterator[logs.Entry] = logs.read(log, query, lambda: self.runs)

    async def next(self) -> str | None:
        """Give the next line; ``None`` where there is no more."""
        async with asyncio.timeout(5):
            return next(iter([entry.text async for entry in _first(self._entries)]), None)


async def _first(entries: AsyncIterator[logs.Entry]) -> AsyncIterator[logs.Entry]:
    try:
        yield await anext(entries)
    except StopAsyncIteration:
        return


def write(path: pathlib.Path, text: str) -> None:
    """Go on writing a log."""
    with path.open("a") as file:
        file.write(text)


async def test_follow__lines_come_as_they_are_written__until_the_container_ends(log) -> None:
    write(log, line(1, "before"))
    followed = Followed(log, logs.Query(follow=True))
    assert await followed.next() == "before"
    write(log, line(2, "after") + line(3, "last")[:-5])
    assert await followed.next() == "after"
    write(log, line(3, "last")[-5:])
    followed.runs = False
    assert await followed.next() == "last"
    assert await followed.next() is None


async def test_follow__rotated__misses_and_repeats_nothing(log, control) -> None:
    write(log, line(1, "1") + line(2, "2"))
    followed = Followed(log, logs.Query(follow=True, tail=1))
    assert await followed.next() == "2"
    assert logs.rotate(log, control[0], limit=1, files=3)
    write(log.with_name("container.log.1"), line(3, "written before conmon heard of it"))
    assert await followed.next() == "written before conmon heard of it"
    write(log, line(4, "in the new file"))
    write(log.with_name("container.log.1"), line(3, ""))
    assert [await followed.next(), await followed.next()] == ["", "in the new file"]
    followed.runs = False
    assert await followed.next() is None


async def test_follow__begins_with_the_container__sees_its_first_line(log) -> None:
    followed = Followed(log, logs.Query(follow=True))
    first, _ = await asyncio.gather(followed.next(), asyncio.to_thread(write, log, line(1, "first")))
    assert first == "first"


def test_rotate__below_the_limit__does_nothing(log, control) -> None:
    log.write_text("x" * 9)
    assert not logs.rotate(log, control[0], limit=10, files=3)
    assert (log.read_text(), told(control[1])) == ("x" * 9, b"")


def test_rotate__at_the_limit__renames_all_and_tells_conmon(log, control) -> None:
    for round_ in range(4):
        log.write_text(f"{round_}" * 10)
        assert logs.rotate(log, control[0], limit=10, files=3)
        assert told(control[1]) == b"2 0 0\n"
        assert not log.exists()
    kept = {path.name: path.read_text()[0] for path in log.parent.glob("container.log*")}
    assert kept == {"container.log.1": "3", "container.log.2": "2"}


def test_rotate__one_file_kept__is_the_new_one(log, control) -> None:
    log.write_text("x" * 10)
    assert logs.rotate(log, control[0], limit=10, files=1)
    assert list(log.parent.glob("container.log*")) == []


def test_rotate__cut_short_before_conmon_was_told__tells_it_the_next_time(log, control) -> None:
    log.with_name("container.log.1").write_text("x" * 100)
    assert logs.rotate(log, control[0], limit=10, files=3)
    assert told(control[1]) == b"2 0 0\n"
    assert log.with_name("container.log.1").exists()


def test_rotate__no_log_at_all__does_nothing(log, control) -> None:
    assert not logs.rotate(log, control[0], limit=0, files=3)
    assert told(control[1]) == b""


@pytest.mark.parametrize("listens", ["nobody", "no fifo"])
def test_rotate__conmon_has_ended__is_an_os_error_and_loses_nothing(log, tmp_path, listens: str) -> None:
    if listens == "nobody":
        os.mkfifo(tmp_path / "ctl")
    log.write_text("x" * 10)
    with pytest.raises(OSError, match="No such"):
        logs.rotate(log, tmp_path / "ctl", limit=10, files=3)
    assert log.with_name("container.log.1").read_text() == "x" * 10

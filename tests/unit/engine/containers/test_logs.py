"""A container's log: put together from parts and rotated files, followed over a rotation, sound whatever is in it."""

import asyncio
import os
import pathlib
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.engine.containers import log_files, log_format, logs

DAY = "2026-01-02"
MIDNIGHT = 1767312000.0
"""2026-01-02T00:00:00+00:00."""


def line(second: int, text: str, stream: str = "stdout", tag: str = "F") -> str:
    """Return a line as conmon writes it."""
    return f"{DAY}T00:00:{second:02}.000000000+00:00 {stream} {tag} {text}\n"


@pytest.fixture
def log(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return the path of a log that does not exist yet."""
    return tmp_path / "container.log"


@pytest.fixture
def control(tmp_path: pathlib.Path) -> Iterator[tuple[pathlib.Path, int]]:
    """Return conmon's control fifo, and its end of it."""
    path = tmp_path / "ctl"
    os.mkfifo(path)
    listening = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, listening
    os.close(listening)


def control_messages(listening: int) -> bytes:
    """Return what was written to conmon's control fifo."""
    try:
        return os.read(listening, 100)
    except BlockingIOError:
        return b""


async def texts(path: pathlib.Path, **query: object) -> list[str]:
    """Read a log whose container has ended."""
    return [entry.data.decode(errors="replace") async for entry in logs.read(path, logs.Query(**query), lambda: False)]


async def test_read__whole_lines__have_time_stream_and_text(log) -> None:
    log.write_text(line(1, "out  with spaces ") + line(2, "err", "stderr") + line(3, ""))
    assert [entry async for entry in logs.read(log, logs.Query(), lambda: False)] == [
        log_format.Entry(MIDNIGHT + 1, "stdout", b"out  with spaces "),
        log_format.Entry(MIDNIGHT + 2, "stderr", b"err"),
        log_format.Entry(MIDNIGHT + 3, "stdout", b""),
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
    lines = [
        (entry.stream, entry.data.decode(errors="replace"))
        async for entry in logs.read(log, logs.Query(), lambda: False)
    ]
    assert lines == [("stdout", "one line"), ("stderr", "err too")]


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
    assert await texts(log) == ["� bytes", "sound", "cut of"]


@pytest.mark.parametrize(
    ("query", "expected"),
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
async def test_read__tail_and_since__over_all_files(log, query: dict[str, object], expected: list[str]) -> None:
    log.with_name("container.log.1").write_text(line(1, "1") + line(2, "2"))
    log.write_text(line(3, "3") + line(4, "4"))
    assert await texts(log, **query) == expected


class Followed:
    """A log that is followed while a test writes it."""

    def __init__(self, log: pathlib.Path, query: logs.Query) -> None:
        self.runs = True
        self._entries: AsyncIterator[log_format.Entry] = logs.read(log, query, lambda: self.runs)

    async def next(self) -> str | None:
        """Return the next line; ``None`` where there is no more."""
        async with asyncio.timeout(5):
            return next(iter([entry.data.decode(errors="replace") async for entry in _first(self._entries)]), None)


async def _first(entries: AsyncIterator[log_format.Entry]) -> AsyncIterator[log_format.Entry]:
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
    assert log_files.rotate(log, control[0], limit=1, files=3)
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
    assert not log_files.rotate(log, control[0], limit=10, files=3)
    assert (log.read_text(), control_messages(control[1])) == ("x" * 9, b"")


def test_is_due__from_the_limit_on_or_where_there_is_no_log(log) -> None:
    assert log_files.is_due(log, 10)  # conmon may have to be told of its new one
    log.write_bytes(b"123456789")
    assert not log_files.is_due(log, 10)
    log.write_bytes(b"1234567890")
    assert log_files.is_due(log, 10)


def test_rotate__at_the_limit__renames_all_and_tells_conmon(log, control) -> None:
    for round_ in range(4):
        log.write_text(f"{round_}" * 10)
        assert log_files.rotate(log, control[0], limit=10, files=3)
        assert control_messages(control[1]) == b"2 0 0\n"
        assert not log.exists()
    kept = {path.name: path.read_text()[0] for path in log.parent.glob("container.log*")}
    assert kept == {"container.log.1": "3", "container.log.2": "2"}


def test_rotate__one_file_kept__is_the_new_one(log, control) -> None:
    log.write_text("x" * 10)
    assert log_files.rotate(log, control[0], limit=10, files=1)
    assert list(log.parent.glob("container.log*")) == []


def test_rotate__cut_short_before_conmon_was_told__tells_it_the_next_time(log, control) -> None:
    log.with_name("container.log.1").write_text("x" * 100)
    assert log_files.rotate(log, control[0], limit=10, files=3)
    assert control_messages(control[1]) == b"2 0 0\n"
    assert log.with_name("container.log.1").exists()


def test_rotate__the_file_was_removed__conmon_begins_another(log, control) -> None:
    assert log_files.rotate(log, control[0], limit=10, files=3)
    assert control_messages(control[1]) == b"2 0 0\n"


def test_rotate__its_folder_was_removed__conmon_which_would_end_is_not_told(control, tmp_path) -> None:
    assert not log_files.rotate(tmp_path / "gone" / "container.log", control[0], limit=0, files=3)
    assert control_messages(control[1]) == b""


@pytest.mark.parametrize("listens", ["nobody", "no fifo"])
def test_rotate__conmon_has_ended__is_an_os_error_and_loses_nothing(log, tmp_path, listens: str) -> None:
    if listens == "nobody":
        os.mkfifo(tmp_path / "ctl")
    log.write_text("x" * 10)
    with pytest.raises(OSError, match="No such"):
        log_files.rotate(log, tmp_path / "ctl", limit=10, files=3)
    assert log.with_name("container.log.1").read_text() == "x" * 10


async def test_read__last_line_without_an_end__is_there(log) -> None:
    log.write_text(line(1, "started") + line(2, "panic: out ", "stderr", "P") + line(3, "of luck", "stderr", "P"))
    assert await texts(log) == ["started", "panic: out of luck"]
    assert await texts(log, follow=True) == ["started", "panic: out of luck"]
    assert await texts(log, tail=1) == ["panic: out of luck"]
    assert await texts(log, since=MIDNIGHT + 2) == ["panic: out of luck"]
    assert await texts(log, since=MIDNIGHT + 3) == []


async def test_read__characters_over_part_borders__are_whole(log) -> None:
    word = "größe €".encode()
    for cut in range(len(word)):
        log.write_bytes(
            line(1, "", tag="P").encode()[:-1] + word[:cut] + b"\n" + line(1, "").encode()[:-1] + word[cut:]
        )
        assert await texts(log) == ["größe €"]


async def test_read__bytes_that_are_no_text__are_kept(log) -> None:
    log.write_bytes(line(1, "").encode()[:-1] + b"gr\xf6\xdfe\r\x00\n")
    assert [entry.data async for entry in logs.read(log, logs.Query(), lambda: False)] == [b"gr\xf6\xdfe\r\x00"]


async def test_begin_run__unended_line_before__is_not_continued(log) -> None:
    log.write_text(line(1, "panic", "stderr", "P"))
    log_files.begin_run(log)
    with log.open("a") as file:
        file.write(line(2, "started", "stderr") + line(3, "panic", "stderr", "P"))
    assert await texts(log) == ["panic", "started", "panic"]
    assert [await texts(log, tail=count) for count in (1, 2)] == [["panic"], ["started", "panic"]]


async def test_begin_run__torn_line_before__is_whole_for_itself(log) -> None:
    log.write_text(line(1, "torn")[:-3])
    log_files.begin_run(log)
    write(log, line(2, "started"))
    assert await texts(log) == ["to", "started"]


async def test_begin_run__rotated_just_before__is_not_continued(log) -> None:
    log.with_name("container.log.1").write_text(line(1, "panic", tag="P"))
    log_files.begin_run(log)
    write(log, line(2, "started"))
    assert await texts(log) == ["panic", "started"]


def test_begin_run__nothing_written_yet__leaves_no_log(log) -> None:
    log_files.begin_run(log)
    assert not log.exists()


def test_begin_run__log_cannot_be_written__is_no_reason_not_to_run(log) -> None:
    log.mkdir()
    log_files.begin_run(log)
    assert list(log.iterdir()) == []


async def test_read__line_of_a_hundred_megabytes__is_read_in_time_linear_in_it(log) -> None:
    part = line(1, "x" * 8192, tag="P") * 256
    with log.open("w") as file:
        for _ in range(48):
            file.write(part)
        file.write(line(2, "end"))
    begun = time.process_time()
    (entry,) = [entry async for entry in logs.read(log, logs.Query(), lambda: False)]
    assert len(entry.data) == 48 * 256 * 8192 + 3
    assert time.process_time() - begun < 3.0, "a reader that copies what it has for each part takes minutes"


@pytest.mark.parametrize("last", ["stdout", "stderr"])
async def test_tail__of_a_long_log__is_read_from_its_end(log, last: str) -> None:
    for name in ("container.log.1", "container.log"):
        log.with_name(name).write_text("".join(line(1, f"line {number} of many") for number in range(100_000)))
    write(log, line(2, "last", last))
    begun = time.process_time()
    assert await texts(log, tail=3) == ["line 99998 of many", "line 99999 of many", "last"]
    ended = time.process_time()
    assert len(await texts(log)) == 200_001
    assert ended - begun < (time.process_time() - ended) / 2, "all of it takes five times as long"


async def test_follow__rotated_twice_between_two_looks__misses_nothing(log, control) -> None:
    write(log, line(1, "1"))
    followed = Followed(log, logs.Query(follow=True))
    assert await followed.next() == "1"
    for number in ("2", "3"):
        assert log_files.rotate(log, control[0], limit=1, files=4)
        write(log, line(2, number))
    assert [await followed.next(), await followed.next()] == ["2", "3"]
    followed.runs = False
    assert await followed.next() is None


async def test_follow__many_rotations__keeps_no_old_file_open(log, control) -> None:
    write(log, line(1, "first"))
    followed = Followed(log, logs.Query(follow=True))
    assert await followed.next() == "first"
    for number in map(str, range(5)):
        assert log_files.rotate(log, control[0], limit=1, files=3)
        write(log, line(2, number))
        assert await followed.next() == number
    assert len([target for target in _open_files() if target.startswith(str(log))]) == 1
    followed.runs = False
    assert await followed.next() is None
    assert not [target for target in _open_files() if target.startswith(str(log))]


async def test_follow__emptied_by_somebody__goes_on_from_its_beginning(log) -> None:
    write(log, line(1, "before") * 3)
    followed = Followed(log, logs.Query(follow=True, tail=1))
    assert await followed.next() == "before"
    os.truncate(log, 0)
    await asyncio.sleep(0.2)
    write(log, line(2, "after"))
    assert await followed.next() == "after"


def _open_files() -> list[str]:
    return [str(path.readlink()) for path in pathlib.Path("/proc/self/fd").iterdir() if path.is_symlink()]

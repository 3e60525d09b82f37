"""Whether somebody has a file open for writing."""

import os
import pathlib
import threading

import pytest

from agent.kit.writers import Writer, Writers, read_whole


def _writer(path: pathlib.Path, writers: Writers | None = None) -> Writer:
    with path.open() as file:
        return (writers or Writers()).of(file.fileno())


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "a.yaml"
    path.write_text("1")
    return path


def test_of__nobody_writes__none_and_opening_it_later_is_not_hindered(path: pathlib.Path) -> None:
    with path.open() as file:
        assert Writers().of(file.fileno()) is Writer.NONE
        os.close(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK))


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND])
def test_of__open_for_writing__is_told_until_it_is_closed(path: pathlib.Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        assert _writer(path) is Writer.OPEN
    finally:
        os.close(descriptor)
    assert _writer(path) is Writer.NONE


def test_of__open_for_reading_elsewhere__is_no_writer(path: pathlib.Path) -> None:
    with path.open():
        assert _writer(path) is Writer.NONE


def test_of__a_file_system_that_cannot_know__is_unknown() -> None:
    assert _writer(pathlib.Path("/proc/self/status")) is Writer.UNKNOWN


def test_read_whole__somebody_is_writing__waits_for_the_whole_and_gives_up_in_the_end(path: pathlib.Path) -> None:
    with path.open("w") as file:
        file.write("ha")
        file.flush()
        with pytest.raises(OSError, match="it is being written"):
            read_whole(path, 100, patience=0.05)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)

    def finish() -> None:
        os.write(descriptor, b"lf and whole")
        os.close(descriptor)

    timer = threading.Timer(0.1, finish)
    timer.start()
    try:
        assert read_whole(path, 100) == b"half and whole"
    finally:
        timer.join()
    assert read_whole(path, 4) == b"half"


def test_read_whole__a_pipe__is_read_once(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"1",))
    writer.start()
    assert read_whole(tmp_path / "pipe", 100) == b"1"
    writer.join()

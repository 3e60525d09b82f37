"""A container's log on the way out: to a pipe as it is, to a terminal harmless, to nobody quietly."""

import os
import pty
import subprocess
import sys

import pytest

from agent.cli import log_output
from agent.kit import timestamps
from agent.runtime import streams

PRINT = """
import sys
from agent.cli import log_output
from agent.runtime import streams
printer = log_output.LogPrinter(at_once=False)
for number in range(int(sys.argv[1])):
    printer.print(streams.LogLine(0.0, "stderr" if number % 2 else "stdout", bytes.fromhex(sys.argv[2])))
"""
HOSTILE = b"\x1b]0;title\x07gr\xf6\xdfe"


def print_lines(count: int, data: bytes, **streams: int) -> int:
    """Print lines in a process of its own, to stdout and stderr in turn, and return its exit code."""
    argv = [sys.executable, "-c", PRINT, str(count), data.hex()]
    return subprocess.run(argv, **streams, check=False, timeout=15).returncode


def read_all(descriptor: int) -> bytes:
    """Read what the other end, which is closed, has written."""
    data = b""
    try:
        while chunk := os.read(descriptor, 65536):
            data += chunk
    except OSError:  # EIO: how a terminal ends
        pass
    os.close(descriptor)
    return data


def test_print__to_a_pipe__is_every_byte_in_order() -> None:
    reader, writer = os.pipe()
    code = print_lines(4, HOSTILE, stdout=writer, stderr=writer)
    os.close(writer)
    assert (code, read_all(reader)) == (0, (HOSTILE + b"\n") * 4)


def test_print__to_two_pipes__is_told_apart() -> None:
    (out, to_out), (err, to_err) = os.pipe(), os.pipe()
    print_lines(3, b"x", stdout=to_out, stderr=to_err)
    os.close(to_out)
    os.close(to_err)
    assert (read_all(out), read_all(err)) == (b"x\nx\n", b"x\n")


def test_print__to_a_terminal__obeys_nothing() -> None:
    ours, theirs = pty.openpty()
    print_lines(2, HOSTILE, stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert read_all(ours) == "\\x1b]0;title\\x07gr\ufffd\ufffde\r\n".encode() * 2


@pytest.mark.parametrize("closed_stream", ["stdout", "stderr"])
def test_print__reader_gone__ends_without_a_word(closed_stream: str) -> None:
    (reader, writer), (other, kept) = os.pipe(), os.pipe()
    os.close(reader)
    streams = {"stdout": writer, "stderr": kept} if closed_stream == "stdout" else {"stdout": kept, "stderr": writer}
    code = print_lines(100, b"x" * 1000, **streams)
    os.close(writer)
    os.close(kept)
    assert b"Traceback" not in read_all(other)
    assert code in {0, 1}


@pytest.mark.parametrize("time", [1764454768.0, 1764454768.1234567, 1764454768.9999998])
def test_stamp__since__is_read_as_the_very_same_time(time: float) -> None:
    assert timestamps.seconds(log_output.stamp(time)) == time


def test_prefix__of_several_containers__is_aligned_and_before_the_time() -> None:
    line = streams.LogLine(0.0, "stdout", b"x")
    assert log_output.LineFormat(5, timestamps=True).prefix("web", line) == "web   | 1970-01-01T00:00:00.000000000Z "
    assert log_output.LineFormat().prefix("web", line) == ""

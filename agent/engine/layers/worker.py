"""A layer unpacked by a process of its own.

Unpacking is thousands of small system calls, and at each of them Python lets other threads go first: beside a busy
event loop it would take many times as long, and the loop would wait for it. A process of its own has neither trouble,
and what a hostile layer might do to it ends with it. It reads the file of packed bytes itself, as far as it has come:
where it has read all that it knows of, it asks for more on its standard output (a line) and is told on its standard
input up to where it may read now (eight bytes); no further than before is the end. Its last line is the outcome. When
whoever started it is gone, so is it.
"""

import ctypes
import dataclasses
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
from typing import IO, Any

from agent.engine import errors
from agent.engine.kernel import linux
from agent.engine.layers import spool, streams, unpack

WORTH_IT = 4 * 1024 * 1024
"""Packed bytes from which the start of a process (a tenth of a second) is little beside the work."""
_STEP = 16 * 1024 * 1024
"""Bytes that it may read without asking: a tenth of a second's work, after which it hears that it is given up."""
_MORE = b"more\n"
_MEMORY = 1024**3
"""Bytes of address space: several times what the largest window of zstd needs."""
_PR_SET_PDEATHSIG = 1


def unpacked(source: spool.Spool, packed: int, target: pathlib.Path, limits: streams.Limits) -> str:
    """Let a layer be unpacked elsewhere, and give its diff id. Blocks: for threads.

    Raises what ``unpack`` and the source raise, and ``errors.Unavailable`` where the process has ended without a word.
    """
    told = {"file": source.file, "packed": packed, "target": str(target), "limits": dataclasses.asdict(limits)}
    command = [sys.executable, "-m", __name__, json.dumps(told)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, pass_fds=(source.file,)
    )
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        answer = _attend(source, process.stdin, process.stdout)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    return _outcome(answer, process.returncode)


def _attend(source: spool.Spool, requests: IO[bytes], answers: IO[bytes]) -> bytes:
    """Tell the process how far it may read, whenever it asks, and give the first line that asks nothing."""
    told = 0
    while (line := answers.readline()) == _MORE:
        told = min(source.reached(told), told + _STEP)
        try:
            requests.write(told.to_bytes(8, "big"))
        except BrokenPipeError:
            return b""
    return line


def _outcome(answer: bytes, code: int) -> str:
    try:
        told: dict[str, Any] = json.loads(answer)
    except ValueError as error:
        raise errors.Unavailable(
            f"the process that unpacks a layer has ended with {code} and no word", reason="HostFailure"
        ) from error
    match told:
        case {"digest": str(digest)}:
            return digest
        case {"refused": str(message), "reason": str(reason), "hint": str(hint)}:
            raise errors.Refused(message, hint=hint, reason=reason)
        case {"errno": int(number), "message": str(message)}:
            raise OSError(number, message)
    raise errors.Unavailable(f"the process that unpacks a layer says {answer[:200]!r}", reason="HostFailure")


class _Following:
    """A reader (``streams.Reader``) of the file, which asks how far it may read."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._there = 0
        self._at = 0

    def read(self, size: int, /) -> bytes:
        if self._at == self._there:
            os.write(1, _MORE)
            self._there = int.from_bytes(os.read(0, 8), "big")
        given = os.pread(self._file, min(size, self._there - self._at), self._at)
        self._at += len(given)
        return given


def main() -> None:
    """Be that process."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    told = json.loads(sys.argv[1])
    source, target, limits = _Following(told["file"]), pathlib.Path(told["target"]), streams.Limits(**told["limits"])
    answer: dict[str, object]
    try:
        answer = {"digest": unpack.unpacked(linux.LinuxKernel(), source, told["packed"], target, limits)}
    except errors.EngineError as error:
        answer = {"refused": error.message, "reason": error.reason, "hint": error.hint}
    except MemoryError:
        answer = {"refused": "a layer wants too much memory to be unpacked", "reason": "LayerTooLarge", "hint": ""}
    except OSError as error:
        answer = {"errno": error.errno or 0, "message": error.strerror or str(error)}
    os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()

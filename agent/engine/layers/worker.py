"""A layer unpacked by a process of its own.

Unpacking is thousands of small system calls, and at each of them Python lets other threads go first: beside a busy
event loop it would take many times as long, and the loop would wait for it. A process of its own has neither trouble,
and what a hostile layer might do to it ends with it. It is given packed bytes on its standard input and tells the
outcome on its standard output; when whoever started it is gone, so is it.
"""

import ctypes
import dataclasses
import fcntl
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
from typing import Any

from agent.engine import errors
from agent.engine.kernel import linux
from agent.engine.layers import streams, unpack

WORTH_IT = 4 * 1024 * 1024
"""Packed bytes from which the start of a process (a tenth of a second) is little beside the work."""
_CHUNK = 1024 * 1024
_MEMORY = 1024**3
"""Bytes of address space: several times what the largest window of zstd needs."""
_PR_SET_PDEATHSIG = 1


def unpacked(source: streams.Reader, packed: int, target: pathlib.Path, limits: streams.Limits) -> str:
    """Let a layer be unpacked elsewhere, and give its diff id. Blocks: for threads.

    Raises what ``unpack`` and the source raise, and ``errors.Unavailable`` where the process has ended without a word.
    """
    told = json.dumps({"packed": packed, "target": str(target), "limits": dataclasses.asdict(limits)})
    command = [sys.executable, "-m", __name__, told]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        _feed(source, process.stdin.fileno())
        process.stdin.close()
        answer = process.stdout.read()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    return _outcome(answer, process.returncode)


def _feed(source: streams.Reader, pipe: int) -> None:
    """Give everything to the process, or as much as it wants."""
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _CHUNK)
    while chunk := source.read(_CHUNK):
        view = memoryview(chunk)
        try:
            while view:
                view = view[os.write(pipe, view) :]
        except BrokenPipeError:
            return


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


def main() -> None:
    """Be that process."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    told = json.loads(sys.argv[1])
    answer: dict[str, object]
    try:
        answer = {"digest": _unpacked(told["packed"], pathlib.Path(told["target"]), streams.Limits(**told["limits"]))}
    except errors.EngineError as error:
        answer = {"refused": error.message, "reason": error.reason, "hint": error.hint}
    except MemoryError:
        answer = {"refused": "a layer wants too much memory to be unpacked", "reason": "LayerTooLarge", "hint": ""}
    except OSError as error:
        answer = {"errno": error.errno or 0, "message": error.strerror or str(error)}
    sys.stdout.write(json.dumps(answer))


def _unpacked(packed: int, target: pathlib.Path, limits: streams.Limits) -> str:
    with open(0, "rb", buffering=0, closefd=False) as source:
        return unpack.unpacked(linux.LinuxKernel(), source, packed, target, limits)


if __name__ == "__main__":
    main()

"""A layer unpacked by a process of its own.

Unpacking is thousands of small system calls, and at each of them Python lets other threads go first: beside a busy
event loop it would take many times as long, and the loop would wait for it. A process of its own has neither trouble,
and what a hostile layer might do to it ends with it. How it is spoken with is in ``worker_process``.
"""

import dataclasses
import json
import os
import pathlib
from typing import IO, Any

from agent import errors
from agent.distribution.layers import streams
from agent.engine.layers import growing_file, worker_process
from agent.kit import isolation, processes
from agent.reasons import Reason

PROCESS_THRESHOLD = 4 * 1024 * 1024
"""Packed bytes from which starting a process (a tenth of a second) pays."""
_STEP = 16 * 1024 * 1024
"""Bytes that it may read per request: a tenth of a second's work, after which an abandonment is noticed."""
_PROGRAM = worker_process.__name__
_COMPLAINT = 65536
"""Bytes of standard error that are read for a traceback's last line."""


def unpacked(source: growing_file.GrowingFile, packed: int, target: pathlib.Path, limits: streams.Limits) -> str:
    """Unpack a layer in a process of its own, and return its diff id. Blocks: for threads.

    Raises what ``unpack`` and the source raise, and ``errors.Unavailable`` where the process has ended without a word.
    """
    arguments = {"file": source.file, "packed": packed, "target": str(target), "limits": dataclasses.asdict(limits)}
    command = isolation.python(_PROGRAM, json.dumps(arguments))
    with processes.memory_file("unpacking") as complaints:
        streams_of_it = processes.Streams(processes.PIPE, processes.PIPE, complaints)
        process = processes.spawn(command, streams_of_it, env=isolation.LOCALE, pass_fds=(source.file,))
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        try:
            answer = _attend(source, process.stdin, process.stdout)
        finally:
            hanging = processes.end_blocking(process)
            process.stdin.close()
            process.stdout.close()
        if hanging is not None:  # and may still write
            raise errors.Unavailable(hanging.message, hint=hanging.hint, reason=Reason.HOST_FAILURE)
        return _outcome(answer, process.returncode, os.pread(complaints, _COMPLAINT, 0))


def _attend(source: growing_file.GrowingFile, requests: IO[bytes], answers: IO[bytes]) -> bytes:
    """Answer the process's requests to read on, and return its first line that is none: the outcome."""
    allowed = 0
    while (line := answers.readline()) == worker_process.MORE:
        allowed = min(source.wait_beyond(allowed), allowed + _STEP)
        try:
            requests.write(allowed.to_bytes(8, "big"))
        except BrokenPipeError:
            return b""
    return line


def _outcome(answer: bytes, code: int, complaints: bytes) -> str:
    try:
        outcome: dict[str, Any] = json.loads(answer)
    except ValueError as error:
        last = complaints.decode(errors="replace").strip().rpartition("\n")[2]
        message = f"the process that unpacks a layer has ended with {code} and no word{last and f': {last}'}"
        raise errors.Unavailable(message, reason=Reason.HOST_FAILURE) from error
    match outcome:
        case {"digest": str(digest)}:
            return digest
        case {"refused": str(message), "reason": str(reason), "hint": str(hint)}:
            raise errors.InvalidArgument(message, hint=hint, reason=Reason(reason))
        case {"errno": int(number), "message": str(message)}:
            raise OSError(number, message)
        case _:
            message = f"the process that unpacks a layer says {answer[:200]!r}"
            raise errors.Unavailable(message, reason=Reason.HOST_FAILURE)

"""The process that unpacks a layer; it imports no more than it takes, since each layer starts one.

It reads the file of packed bytes itself, as far as it has come: where it has read all that it knows of, it asks for
more on its standard output (a line) and is told on its standard input up to where it may read now (eight bytes); no
further than before is the end. Its last line is the outcome. When whoever started it is gone, so is it.
"""

import ctypes
import json
import os
import pathlib
import resource
import signal
import sys

from agent import errors
from agent.distribution.layers import streams
from agent.engine.kernel import linux
from agent.engine.layers import unpack
from agent.reasons import Reason

MORE = b"more\n"
_MEMORY = 1024**3
"""Bytes of address space: several times what the largest window of zstd needs."""
_PR_SET_PDEATHSIG = 1


class _Following:
    """A reader (``streams.Reader``) of the file, which asks how far it may read."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._allowed = 0
        self._at = 0

    def read(self, size: int, /) -> bytes:
        if self._at == self._allowed:
            os.write(1, MORE)
            self._allowed = int.from_bytes(os.read(0, 8), "big")
        chunk = os.pread(self._file, min(size, self._allowed - self._at), self._at)
        self._at += len(chunk)
        return chunk


def main() -> None:
    """Run the unpacking process: read arguments, unpack, write the outcome."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    os.umask(0)
    arguments = json.loads(sys.argv[1])
    source, target, limits = (
        _Following(arguments["file"]),
        pathlib.Path(arguments["target"]),
        streams.Limits(**arguments["limits"]),
    )
    answer: dict[str, object]
    try:
        answer = {"digest": unpack.unpacked(linux.LinuxKernel(), source, arguments["packed"], target, limits)}
    except errors.Failure as error:
        answer = {"refused": error.message, "reason": error.reason, "hint": error.hint}
    except MemoryError:
        answer = {
            "refused": "a layer wants too much memory to be unpacked",
            "reason": Reason.LAYER_TOO_LARGE,
            "hint": "",
        }
    except OSError as error:
        answer = {"errno": error.errno or 0, "message": error.strerror or str(error)}
    os.write(1, json.dumps(answer).encode() + b"\n")

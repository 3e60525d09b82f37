"""Children that do not end, not even by SIGKILL, as if they hung in the kernel.

A process that is traced by another one than its parent is, once it is dead, kept from its parent until whoever traces
it lets it go. For the parent it hangs, and it can be released: state D has neither of both to offer.
"""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from agent.kit import processes

_TRACER = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
SEIZE = 0x4206
for line in sys.stdin:
    done = libc.ptrace(SEIZE, ctypes.c_long(int(line)), ctypes.c_void_p(0), ctypes.c_void_p(0))
    print(done, flush=True)
"""


class Tracer:
    """A process that keeps dead children from their parent."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.traced: list[processes.Process] = []

    def attach(self, process: processes.Process) -> None:
        """Keep a process from its parent from now on."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(process.pid, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "0\n", "this needs ptrace(2)"
        self.traced.append(process)

    def release(self) -> list[int | None]:
        """Let all go, wait until the threads that reap them have done so, and return their exit codes."""
        self._process.communicate()
        names = {f"reaping {process.pid}" for process in self.traced}
        for thread in threading.enumerate():
            if thread.name in names:
                thread.join(10)
        return [process.returncode for process in self.traced]


@contextlib.contextmanager
def tracer() -> Iterator[Tracer]:
    """Start a tracer; it lets go of everything in the end."""
    with subprocess.Popen(
        [sys.executable, "-c", _TRACER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Tracer(process)
        finally:
            process.kill()


def spawning(tracing: Tracer) -> Callable[..., processes.Process]:
    """Return a ``processes.spawn`` whose children hang once they are dead."""
    spawn = processes.spawn

    def hanging(*words: object, **options: object) -> processes.Process:
        process: processes.Process = spawn(*words, **options)  # type: ignore[arg-type]
        tracing.attach(process)
        return process

    return hanging


@contextlib.contextmanager
def children(patch: pytest.MonkeyPatch) -> Iterator[Tracer]:
    """Let all children that ``kit.processes`` starts hang in the end, and be given up after a moment."""
    with tracer() as tracing:
        patch.setattr(processes, "spawn", spawning(tracing))
        patch.setattr(processes, "_DYING", 0.1)
        yield tracing

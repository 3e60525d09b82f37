"""Watching an event loop for callbacks that hold it up.

What counts is the CPU time of the loop's thread: on a shared machine a callback may last long for no fault of its own.
So what waits instead of computing (a disk, a file system that hangs, a child that does not end) is not seen by it: that
nothing of the kind is done in the loop has to be shown where it would be done. Rounds of the garbage collector fall on
whoever makes an object just then, and on what is not the agent's too: they are left out here (``lean`` bounds them).
"""

import asyncio
import contextlib
import dataclasses
import gc
import re
import signal
import threading
import time
import types
from collections.abc import Awaitable, Callable, Iterator

_SAMPLING = 0.005
"""Seconds of CPU time between two looks at what the loop is at."""


@dataclasses.dataclass(frozen=True, slots=True)
class SlowCallback:
    """A callback that held the loop up."""

    name: str
    seconds: float
    """Of CPU time."""
    samples: tuple[str, ...]
    """What it was at, look by look: functions from the outside in."""

    @property
    def kind(self) -> str:
        """Return the name without what tells one callback from another of its kind."""
        return re.sub(r"[0-9a-f]{32}|0x[0-9a-f]+|[0-9]+", "…", self.name)

    def __str__(self) -> str:
        counts = {sample: self.samples.count(sample) for sample in self.samples}
        most = sorted(counts.items(), key=lambda item: -item[1])[:5]
        lines = [f"  {count} x {text}" for text, count in most]
        return "\n".join([f"{self.seconds * 1000:.0f} ms in {self.name}", *lines])


@contextlib.contextmanager
def watching(limit: float) -> Iterator[list[SlowCallback]]:
    """Collect the callbacks that take more than ``limit`` seconds of CPU time, on every loop of this thread."""
    slow: list[SlowCallback] = []
    watch, rounds = _Watch(), _Rounds()
    run = asyncio.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        watch.begin()
        begun = time.thread_time() - rounds.seconds
        try:
            run(handle)
        finally:
            seconds = time.thread_time() - rounds.seconds - begun
            samples = watch.end()
            if seconds > limit:
                slow.append(SlowCallback(_name(handle), seconds, samples))

    before = signal.signal(signal.SIGPROF, watch.sample)
    signal.setitimer(signal.ITIMER_PROF, _SAMPLING, _SAMPLING)
    asyncio.Handle._run = measured  # type: ignore[method-assign]
    gc.callbacks.append(rounds.note)
    try:
        yield slow
    finally:
        gc.callbacks.remove(rounds.note)
        asyncio.Handle._run = run  # type: ignore[method-assign]
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


async def slow_each_time(attempt: Callable[[str], Awaitable[list[SlowCallback]]]) -> list[SlowCallback]:
    """Return what is slow in each of two attempts, which have a name, the slowest first.

    A neighbour makes CPU time longer too; what is slow of itself is slow again.
    """
    kinds = {callback.kind for callback in await attempt("first")}
    again = await attempt("second") if kinds else []
    return sorted((callback for callback in again if callback.kind in kinds), key=lambda callback: -callback.seconds)


class _Watch:
    """Samples the stack of a callback, in its own thread: another one would keep what the callback lets go of."""

    def __init__(self) -> None:
        self._is_running = False
        self._samples: list[str] = []

    def begin(self) -> None:
        self._samples = []
        self._is_running = True

    def end(self) -> tuple[str, ...]:
        self._is_running = False
        return tuple(self._samples)

    def sample(self, _: int, frame: types.FrameType | None) -> None:
        if self._is_running:
            self._samples.append(_stack(frame))


class _Rounds:
    """Seconds of CPU time that rounds of the garbage collector took in the thread that made this object."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._thread = threading.get_ident()
        self._begun = 0.0

    def note(self, phase: str, _: dict[str, int]) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._begun = time.thread_time()
        else:
            self.seconds += time.thread_time() - self._begun


def _stack(frame: types.FrameType | None) -> str:
    ours: list[str] = []
    while frame is not None:
        _, folder, path = frame.f_code.co_filename.partition("/agent/")
        if folder:
            ours.append(f"{path}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return " > ".join(reversed(ours[:6]))


def _name(handle: asyncio.Handle) -> str:
    task = getattr(handle._callback, "__self__", None)
    return task.get_name() if isinstance(task, asyncio.Task) else repr(handle._callback)

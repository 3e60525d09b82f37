"""Watching what runs: an end is seen at once, recorded, told, and then cleaned up behind.

Order matters. The record says ``exited`` before anything is taken away, so that a crash in between leaves a container
that ``recover`` knows to clean; and whoever starts it again waits for ``settled`` first.
"""

import asyncio
import contextlib
import dataclasses
import os
import re
import signal as signals
from collections.abc import Callable
from typing import Self

from agent import errors
from agent.engine import layout
from agent.engine.cgroups import hierarchy, usage
from agent.engine.containers import ending, halted, table
from agent.engine.shim import conmon, liveness, watch
from agent.kit import clock, failpoint, frozen, reserve, tasks
from agent.reasons import Reason

_ENDED = failpoint.register("containers.ended")

_AFTER_KILL = 30.0
"""Seconds that a killed process may still hang in the kernel before it is given up."""
_RETRY_DELAY = 1.0
"""Seconds between two attempts to record an end where the disk is full."""
_KILLED = 137
"""The exit code of a program that SIGKILL ended, or of a shell whose program it ended."""
_DIGITS = 2
"""Of a signal's number."""
_REAL_TIME = re.compile(r"RT(MIN\+|MAX-)([0-9]{1,2})")


@frozen.value
class Event:
    """Something that happened to a container."""

    id: str
    name: str
    action: str
    """``created``, ``started``, ``exited``, ``oom_killed``, ``changed``, ``removed``."""
    time: float
    exit_code: int | None = None


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of supervision."""

    where: layout.Layout
    table: table.Table
    cleaner: ending.Cleaner
    clock: clock.Clock
    epoch: str
    notify: Callable[[Event], None]


class Supervisor:
    """Sees every running container to its end."""

    def __init__(self, deps: Deps) -> None:
        """Store the collaborators; nothing is watched yet."""
        self._deps = deps
        self._watch = watch.MonitorWatch(self._monitor_ended)
        self._ends: dict[str, asyncio.Future[None]] = {}
        self._codes: dict[str, asyncio.Future[int | None]] = {}
        """Of each container that runs: done as soon as its end is known, before anything is taken away."""
        self._hurried: set[str] = set()
        self._crew = tasks.Crew(self._failed)

    async def __aenter__(self) -> Self:
        await self._crew.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._watch.close()
        await self._crew.__aexit__(*error)
        for code in self._codes.values():
            code.cancel()

    def follow(self, record: table.ContainerRecord, run: table.Run) -> None:
        """Watch a container that runs; one that has ended meanwhile is noticed in the loop's next round."""
        self._ends[record.id] = asyncio.get_running_loop().create_future()
        self._codes[record.id] = asyncio.get_running_loop().create_future()
        self._watch.add(record.id, run.monitor, run.monitor_started)

    def send(self, record: table.ContainerRecord, signal: str) -> None:
        """Send a signal to a container's first process; one that has just ended is no failure.

        Raises ``errors.InvalidArgument`` for a signal that does not exist.
        """
        number = signal_number(signal)
        if record.run is None:
            return
        descriptor = liveness.open_alive(record.run.pid, record.run.pid_started)
        if descriptor is None:
            return
        try:
            with contextlib.suppress(ProcessLookupError):
                signals.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)

    def hurry(self, container_id: str) -> None:
        """Let a container's end be cleaned up behind although it cannot be written down, on a full disk."""
        self._hurried.add(container_id)

    async def exit_code(self, record: table.ContainerRecord) -> int | None:
        """Wait for the end of a container that runs, and return its exit code as soon as that is known."""
        code = self._codes.get(record.id)
        return record.exit_code if code is None else await asyncio.shield(code)

    async def ended_within(self, container_id: str, seconds: float) -> bool:
        """Wait until a container has ended and is cleaned up; False where it still runs after so many seconds."""
        end = self._ends.get(container_id)
        if end is None:
            return True
        done, _ = await asyncio.wait([end], timeout=seconds)
        return bool(done)

    async def kill(self, record: table.ContainerRecord) -> None:
        """Kill a container and wait for its end. Raises ``errors.Unavailable`` where the kernel does not let it die."""
        halted.resume(hierarchy.of_host(), [halted.candidate(record, self._deps.where.cgroup)])
        self.send(record, "SIGKILL")
        while not await self.ended_within(record.id, _AFTER_KILL):
            if record.id not in self._crew:  # otherwise it is dead, and one of many that are being taken away
                raise errors.Unavailable(f"container {record.name} does not die of SIGKILL", reason=Reason.STOP_FAILED)

    async def settled(self, container_id: str) -> None:
        """Wait until what an earlier run left is taken away, and try once more where that had failed.

        Raises ``errors.Unavailable`` where it is still there.
        """
        if not await self.ended_within(container_id, _AFTER_KILL):
            raise errors.Unavailable("its last run is still being taken away", reason=Reason.CLEANUP_FAILED)
        if container_id not in self._deps.cleaner.unfinished:
            return
        try:
            await self._deps.cleaner.clean(container_id)
        except ExceptionGroup as group:
            raise errors.Unavailable(
                f"its last run cannot be taken away: {'; '.join(map(str, group.exceptions))}",
                reason=Reason.CLEANUP_FAILED,
            ) from group

    async def recover(self, record: table.ContainerRecord) -> None:
        """Take a record of an earlier life of the engine to where it can stay: watch it, or finish or undo it.

        What of it cannot be taken away keeps nobody else from being looked after: ``settled`` tries again.
        """
        deps = self._deps
        run = record.run
        if record.phase is table.Phase.RUNNING and run is not None and run.epoch == deps.epoch:
            self.follow(record, run)
            return
        await deps.cleaner.attempt(record.id)
        if record.phase is table.Phase.RUNNING:
            deps.table.put(self._tell_end(record, conmon.Ending(None, None), oom_killed=False))
        elif record.phase is table.Phase.STARTING:
            phase = table.Phase.EXITED if record.started_at else table.Phase.CREATED
            deps.table.put(dataclasses.replace(record, phase=phase, run=None))

    def _monitor_ended(self, container_id: str) -> None:
        if container_id not in self._crew:
            self._crew.start(self._end(container_id), name=container_id)

    async def _end(self, container_id: str) -> None:
        deps = self._deps
        ended = conmon.ending(deps.where.bundles / container_id, container_id)
        oom_killed = self._oom_killed(deps.table.get(container_id), ended)
        try:
            await self._recorded(container_id, ended, oom_killed=oom_killed)
            _ENDED.hit()
            await deps.cleaner.attempt(container_id)
        finally:
            self._hurried.discard(container_id)
            end = self._ends.pop(container_id, None)
            if end is not None and not end.done():
                end.set_result(None)

    async def _recorded(self, container_id: str, ended: conmon.Ending, *, oom_killed: bool) -> None:
        """Record an end. It is known at once; nothing is taken away before the disk has room for it."""
        records = self._deps.table
        records.keep(self._tell_end(records.get(container_id), ended, oom_killed=oom_killed))
        while True:
            try:
                records.put(records.get(container_id))
            except errors.Unavailable as error:
                if container_id not in self._hurried:
                    await asyncio.sleep(_RETRY_DELAY)
                elif not reserve.Reserve(self._deps.where.reserve).spend():
                    self._postpone_record(container_id, error)
                    return
            else:
                return

    def _postpone_record(self, container_id: str, error: errors.Unavailable) -> None:
        """Write an end down later: somebody waits to remove what has ended, which may be all that frees the disk."""
        records = self._deps.table

        async def retry() -> None:
            with contextlib.suppress(errors.NotFound):  # it is gone by now
                records.put(records.get(container_id))

        self._deps.cleaner.register.failed(f"record of container {container_id}", error, retry)

    def _tell_end(
        self, record: table.ContainerRecord, ended: conmon.Ending, *, oom_killed: bool
    ) -> table.ContainerRecord:
        """Report an end, and return the record of it."""
        now = self._deps.clock.now()
        action = "oom_killed" if oom_killed else "exited"
        self._deps.notify(Event(record.id, record.name, action, now, ended.code))
        code = self._codes.pop(record.id, None)
        if code is not None:
            code.set_result(ended.code)
        return dataclasses.replace(
            record,
            phase=table.Phase.EXITED,
            run=None,
            finished_at=ended.at or now,
            exit_code=ended.code,
            oom_killed=oom_killed,
        )

    def _oom_killed(self, record: table.ContainerRecord, ended: conmon.Ending) -> bool:
        """Return whether memory was what ended a container: it survives where the kernel kills only a child."""
        if ended.code != _KILLED or record.stop_requested:
            return False
        return usage.oom_kills(hierarchy.of_host(), f"{self._deps.where.cgroup}/{record.id}") > 0

    def _failed(self, container_id: str, error: BaseException) -> None:
        self._deps.cleaner.postpone(container_id, error)


def signal_number(name: str) -> int:
    """Return a signal's number: ``SIGTERM``, ``TERM`` and ``15`` are the same, and ``SIGRTMIN+3`` is systemd's.

    Raises ``errors.InvalidArgument``.
    """
    number = int(name) if name.isdecimal() and len(name) <= _DIGITS else _by_name(name.upper().removeprefix("SIG"))
    if number not in signals.valid_signals():
        raise errors.InvalidArgument(f"there is no signal {name}", hint="see kill -l", reason=Reason.INVALID_SIGNAL)
    return number


def _by_name(name: str) -> int | None:
    real_time = _REAL_TIME.fullmatch(name)
    if real_time is None:
        return signals.Signals.__members__.get(f"SIG{name}")
    distance = int(real_time[2])
    number = signals.SIGRTMIN + distance if real_time[1] == "MIN+" else signals.SIGRTMAX - distance
    return number if signals.SIGRTMIN <= number <= signals.SIGRTMAX else None

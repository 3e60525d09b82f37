"""What running containers need now and then while an agent is there: their logs kept within bounds."""

import asyncio
import dataclasses
import functools

from agent import errors
from agent.engine import layout
from agent.engine.containers import log_files, table
from agent.engine.shim import liveness
from agent.kit import frozen, locks, notices, tasks

_INTERVAL = 5.0
"""Seconds between two rounds; a log can outgrow its limit by what is written in so many."""


@frozen.value(kw_only=True)
class Upkeep:
    """Looks after what runs."""

    where: layout.Layout
    containers: table.Table
    log_size: int
    """Bytes of a log file before a new one is begun."""
    log_files: int
    register: notices.Register
    guards: locks.KeyedLocks = dataclasses.field(default_factory=locks.KeyedLocks)
    """One rotation of a log at a time: the rounds', or that of one that has failed."""

    async def run(self) -> None:
        """Make rounds until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            await self.rotate()

    async def rotate(self) -> None:
        """Begin new log files where they are due; what cannot be done now (a full disk) is noted, and tried again."""
        for record in self.containers.all():
            if record.run is not None and log_files.is_due(self.where.log(record.id), self.log_size):
                await self._attempt(record, record.run)

    async def _attempt(self, record: table.ContainerRecord, run: table.Run) -> None:
        subject = f"log of container {record.id}"
        try:
            await self._begin_file(record.id)
        except OSError as error:
            if liveness.alive(run.monitor, run.monitor_started):  # otherwise its end is under way
                self.register.failed(subject, error, functools.partial(self._retry, record.id))
        else:
            self.register.settled(subject)

    async def _retry(self, container_id: str) -> None:
        """Try once more, unless there is nothing to be done any more. Raises ``OSError``."""
        try:
            runs = self.containers.get(container_id).run is not None
        except errors.NotFound:
            return
        if runs and log_files.is_due(self.where.log(container_id), self.log_size):
            await self._begin_file(container_id)

    async def _begin_file(self, container_id: str) -> None:
        log, control = self.where.log(container_id), self.where.bundles / container_id / "ctl"
        async with self.guards.hold(container_id):
            await tasks.in_thread(lambda: log_files.rotate(log, control, self.log_size, self.log_files))

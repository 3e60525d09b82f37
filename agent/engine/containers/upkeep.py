"""What running containers need now and then while an agent is there: their logs kept within bounds."""

import asyncio
import contextlib
import dataclasses

from agent.engine import layout
from agent.engine.containers import logs, table

_INTERVAL = 5.0
"""Seconds between two rounds; a log can outgrow its limit by what is written in so many."""


@dataclasses.dataclass(frozen=True, slots=True)
class Upkeep:
    """Looks after what runs."""

    where: layout.Layout
    table: table.Table
    log_size: int
    """Bytes of a log file before a new one is begun."""
    log_files: int

    async def run(self) -> None:
        """Make rounds until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            self.rotate()

    def rotate(self) -> None:
        """Begin new log files where they are due; what cannot be done now (an end, a full disk) is tried again."""
        for record in self.table.all():
            if record.run is not None:
                with contextlib.suppress(OSError):
                    control = self.where.bundles / record.id / "ctl"
                    logs.rotate(self.where.log(record.id), control, self.log_size, self.log_files)

"""Records of containers as the host has them now: in the engine, or beside it without opening it.

What is asked for beside a running agent reads one record, and imports no room that makes anything.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator

from agent.drivers.native import failures
from agent.engine import layout, records, stamps
from agent.engine.containers import names, table
from agent.engine.shim import conmon, liveness
from agent.kit import frozen


@frozen.value
class RecordsView:
    """Where the record of a container is read."""

    where: layout.Layout
    record: Callable[[str], table.ContainerRecord]
    """Returns the record of an id or a name. Raises ``engine.errors.NotFound``."""
    is_current: bool
    """Records are of this process, which hears of every end; others may be outdated."""

    def current(self, record: table.ContainerRecord) -> table.ContainerRecord:
        """Return a record as the host has it: where no agent runs, a container may have ended since it was written."""
        run = record.run
        if self.is_current or run is None or liveness.alive(run.monitor, run.monitor_started):
            return record
        ended = conmon.ending(self.where.bundles / record.id, record.id)
        return dataclasses.replace(
            record, phase=table.Phase.EXITED, run=None, exit_code=ended.code, finished_at=ended.at or record.started_at
        )


@contextlib.contextmanager
def opened(root: pathlib.Path, run_dir: pathlib.Path) -> Iterator[RecordsView]:
    """Open the records of the instance at ``root``, beside the process that changes it.

    Raises the runtime's errors, ``stamps.ForeignDirectory`` and ``kit.state_format.NewerState``.
    """
    where = layout.of(root, run_dir)
    stamps.check(where)
    with failures.translated():
        database = records.Database(where.records, (names.SCHEMA,), read_only=True, second_log=where.second_log)
    with contextlib.closing(database):
        yield RecordsView(where, lambda ref: table.single(database, ref), is_current=False)

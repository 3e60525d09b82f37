"""The engine's memory: one SQLite database in WAL mode, in which every room keeps tables of its own.

A commit is atomic against a crash of the program. It is not synced one by one (``synchronous=NORMAL``): a power loss
may take the last commits, never the consistency, and whatever then has no record is removed by ``recover``. Every
change is in a redo log as well, from which a database that turns out to be damaged is made again on the spot, and in a
copy of that log elsewhere, for the case that both are lost.
"""

import contextlib
import dataclasses
import pathlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from agent import errors
from agent.engine import mending, redo
from agent.kit import canonical, damage, permissions, reserve, state_format
from agent.reasons import Reason

Row = sqlite3.Row
T = TypeVar("T")

NOWHERE = pathlib.Path(":memory:")
"""The path of a database that is empty and forgotten when it is closed."""


@dataclasses.dataclass(slots=True)
class _Transaction:
    """What a transaction has changed so far."""

    statements: list[redo.Statement] = dataclasses.field(default_factory=list)


class Database:
    """A connection for one thread. Statements commit by themselves unless they stand in a ``transaction``."""

    def __init__(
        self,
        path: pathlib.Path,
        schemas: Iterable[str],
        *,
        read_only: bool = False,
        second_log: pathlib.Path | None = None,
    ) -> None:
        """Open or make the database; ``schemas`` are idempotent DDL scripts (``CREATE TABLE IF NOT EXISTS``).

        ``second_log``: where the redo log is written once more, away from the database.

        Raises ``errors.Unavailable`` where the file cannot be opened, ``kit.state_format.NewerState``.
        """
        self.read_only = read_only
        self.on_mended: Callable[[str], None] = lambda _: None
        """Told what was damaged and what became of it."""
        self._path = path
        self._schemas = tuple(schemas)
        self._log_paths = () if path == NOWHERE else mending.logs_of(path, second_log)
        self._logs = () if read_only else tuple(map(redo.Log, self._log_paths))
        self._behind: set[redo.Log] = set()
        self._transaction: _Transaction | None = None
        self._identity: tuple[int, int] | None = None
        try:
            self._connection = self._connected()
        except (sqlite3.Error, OSError) as error:
            if path != NOWHERE and (damage.is_damage(error) or (read_only and not path.exists())):
                self._connection = self._mended(error)
            else:
                raise errors.Unavailable(f"cannot open the records at {path}: {error}", hint=_hint(path)) from error

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return all rows of a SELECT. Raises ``errors.Unavailable`` where they cannot be read."""
        return self._read(lambda: self._connection.execute(sql, parameters).fetchall())

    def first(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """Return the first row of a SELECT, or ``None``. Raises like ``query``."""
        row: Row | None = self._read(lambda: self._connection.execute(sql, parameters).fetchone())
        return row

    def value(self, kind: type[T], body: str, subject: str) -> T:
        """Return what the body of a subject's row says.

        Raises ``kit.state_format.NewerState`` for what a newer release has written, ``errors.Unavailable``.
        """
        try:
            return canonical.loads(kind, body)
        except canonical.Unknown as error:
            raise state_format.newer(self._path, f"{subject}: {error}") from error
        except canonical.Unreadable as error:
            raise errors.Unavailable(
                f"the record of {subject} in {self._path} cannot be read: {error}",
                hint="remove its row, or put an earlier copy of the root back",
                reason=mending.REASON,
            ) from error

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement and give the number of rows that it changed.

        Raises ``sqlite3.IntegrityError``, and ``errors.Unavailable`` (``DiskFull``) where it cannot be written.
        """
        if self._transaction is not None:
            count = self._connection.execute(sql, parameters).rowcount
            self._transaction.statements.append((sql, parameters))
            return count
        try:
            return self._executed(sql, parameters)
        except errors.Unavailable as error:
            if error.reason != mending.REASON:
                raise
            return self._executed(sql, parameters)  # what was damaged is mended by now

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside, or none of them. Must not be nested or span an ``await``. Raises like ``execute``.

        Where the database turns out to be damaged it is mended, and ``errors.Unavailable`` (``RecordsDamaged``) says
        that it is to be done again.
        """
        try:
            self._look_for_replacement()
            self._connection.execute("BEGIN IMMEDIATE")
            self._transaction = _Transaction()
            try:
                yield
                self._commit(self._transaction.statements)
            except BaseException:
                self._roll_back()
                raise
            finally:
                self._transaction = None
        except sqlite3.DatabaseError as error:
            if damage.is_damage(error):
                self._mend(error)
                raise errors.Unavailable("the records were damaged and are mended", reason=mending.REASON) from error
            if isinstance(error, sqlite3.OperationalError):
                raise _unavailable(error) from error
            raise
        self._shorten_log()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        for log in self._logs:
            log.close()

    def _executed(self, sql: str, parameters: Sequence[Any]) -> int:
        with self.transaction():
            return self.execute(sql, parameters)

    def _read(self, read: Callable[[], T]) -> T:
        try:
            if self._transaction is None:
                self._look_for_replacement()
            return read()
        except sqlite3.DatabaseError as error:
            if self._transaction is not None or not (damage.is_damage(error) or damage.is_out_of_reach(error)):
                raise
            self._mend(error)
            return read()

    def _commit(self, statements: Sequence[redo.Statement]) -> None:
        """Write the redo logs, then commit. A log that cannot be written falls behind, and is begun anew later on."""
        positions: list[tuple[redo.Log, int]] = []
        if self._logs and statements:
            data = redo.transaction(redo.changes(self._connection), statements)
            for log in self._logs:
                try:
                    positions.append((log, log.append(data)))
                except OSError:
                    self._behind.add(log)
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            for log, position in positions:
                log.cut(position)
            raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # a full disk has rolled it back already
            with contextlib.suppress(sqlite3.Error):  # the error before it is the one to tell
                self._connection.execute("ROLLBACK")

    def _shorten_log(self) -> None:
        due = [log for log in self._logs if log in self._behind or log.is_long()]
        if not due:
            return
        with contextlib.suppress(sqlite3.Error):  # it is tried again after the next transaction
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                data = redo.snapshot(self._connection)
                for log in due:
                    with contextlib.suppress(OSError):  # the disk of one may be full; the other is begun all the same
                        log.begin(data)
                        self._behind.discard(log)
            finally:
                self._connection.execute("COMMIT")

    def _look_for_replacement(self) -> None:
        """Open the database anew where another connection has found it damaged and replaced it, or it was removed."""
        if self._path == NOWHERE or self._identity is None:
            return
        try:
            status = self._path.stat()
        except FileNotFoundError:
            if not self.read_only:
                self._mend(sqlite3.DatabaseError("the file was removed"))
            return
        if (status.st_dev, status.st_ino) != self._identity:
            self._connection.close()
            self._connection = self._connected()

    def _mend(self, error: Exception) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._connection = self._mended(error)

    def _mended(self, error: Exception) -> sqlite3.Connection:
        """Make the database again, or for who only looks a copy in memory of what is known. Raises ``Unavailable``."""
        try:
            if self.read_only:
                self._identity = None
                return mending.copy(self._path, self._log_paths, self._schemas)
            damaged = mending.Damaged(self._path, self._log_paths, str(error), self._identity)
            self.on_mended(mending.rebuild(damaged, self._schemas))
            self._behind.update(self._logs)  # they may be damaged too
            return self._connected()
        except (sqlite3.Error, OSError, redo.Broken) as failure:
            raise errors.Unavailable(
                f"the records at {self._path} are damaged ({error}) and cannot be made again: {failure}"
            ) from error

    def _connected(self) -> sqlite3.Connection:
        self._identity = None
        connection = mending.connected(self._path, self._schemas, read_only=self.read_only)
        connection.row_factory = sqlite3.Row
        if self._path != NOWHERE:
            with contextlib.suppress(FileNotFoundError):
                status = self._path.stat()
                self._identity = (status.st_dev, status.st_ino)
        return connection


def _unavailable(error: sqlite3.OperationalError) -> errors.Unavailable:
    full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
    reason, hint = (Reason.DISK_FULL, "free space on the disk of --root") if full else (Reason.HOST_FAILURE, "")
    return errors.Unavailable(f"the records cannot be written: {error}", hint=hint, reason=reason)


def _hint(path: pathlib.Path) -> str:
    """Return the way out where records cannot be opened, or nothing."""
    if permissions.is_withheld(path):
        return permissions.RUN_AS_ROOT
    return f"no room is left on the disk of {path.parent}: free some, and try again" if reserve.is_full(path) else ""

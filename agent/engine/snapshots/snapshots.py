"""Unpacked layers on disk, by chain id: what lies below a layer is part of its name, so sharing is always right."""

import asyncio
import contextlib
import pathlib
import secrets
from typing import IO

from agent.engine import errors, layout, records
from agent.engine.content import store
from agent.engine.kernel import api
from agent.engine.layers import streams, unpack
from agent.kit import failpoint, locks, trees

SCHEMA = """
CREATE TABLE IF NOT EXISTS snapshots (
    chain_id TEXT PRIMARY KEY,
    directory TEXT NOT NULL UNIQUE
);
"""

_UNPACK = failpoint.register("layers.unpack")
_COMMIT = failpoint.register("snapshots.commit")

_TEMPORARY = "tmp-"


class Snapshots:
    """All unpacked layers of an instance."""

    def __init__(self, where: layout.Layout, database: records.Database, kernel: api.Kernel) -> None:
        """Nothing is read or made yet."""
        self._root = where.snapshots
        self._database = database
        self._kernel = kernel
        self._locks = locks.KeyedLocks()
        self._limits = streams.Limits()

    def find(self, chain_id: str) -> pathlib.Path | None:
        """Give a layer's directory, or ``None`` where it is not unpacked."""
        row = self._database.first("SELECT directory FROM snapshots WHERE chain_id = ?", (chain_id,))
        return self._root / row["directory"] / "fs" if row else None

    async def ensure(self, chain_id: str, diff_id: str, blob: pathlib.Path) -> pathlib.Path:
        """Unpack a layer unless it is there; asked for twice at once, it is unpacked once.

        Raises ``errors.Refused`` for hostile or damaged content, ``errors.Unavailable`` for a full disk. After a
        failure nothing of it is left.
        """
        async with self._locks.hold(chain_id):
            found = self.find(chain_id)
            if found is not None:
                return found
            name = secrets.token_hex(4)
            temporary = self._root / f"{_TEMPORARY}{name}"
            try:
                await self._unpacked(blob, diff_id, temporary)
                _UNPACK.hit()
                temporary.rename(self._root / name)
            except BaseException:
                await asyncio.to_thread(_discard, temporary)
                raise
            _COMMIT.hit()
            self._database.execute("INSERT INTO snapshots (chain_id, directory) VALUES (?, ?)", (chain_id, name))
            return self._root / name / "fs"

    def retain(self, chain_ids: frozenset[str]) -> None:
        """Remove every layer that is not one of these."""
        for row in self._database.query("SELECT chain_id, directory FROM snapshots"):
            if row["chain_id"] not in chain_ids:
                self._database.execute("DELETE FROM snapshots WHERE chain_id = ?", (row["chain_id"],))
                _discard(self._root / row["directory"])

    def collect(self) -> None:
        """Remove directories that no record knows: left-overs of a crash."""
        for name in self.strangers():
            trees.remove(self._root / name)

    def strangers(self) -> list[str]:
        """Name directories that no record knows."""
        known = {row["directory"] for row in self._database.query("SELECT directory FROM snapshots")}
        return sorted(entry.name for entry in self._root.iterdir() if entry.name not in known)

    async def _unpacked(self, blob: pathlib.Path, diff_id: str, temporary: pathlib.Path) -> None:
        """Unpack in a thread. Whoever is cancelled while it does waits until it has let go of the directory."""
        with _open(blob) as file:
            stream = streams.bounded(blob, file, self._limits)
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(None, self._unpack, stream, diff_id, temporary)
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError:
                stream.give_up()
                await asyncio.wait([running])
                running.exception()
                raise

    def _unpack(self, stream: streams.Bounded, diff_id: str, temporary: pathlib.Path) -> None:
        target = temporary / "fs"
        try:
            target.mkdir(mode=0o755, parents=True)
            target.chmod(0o755)
            unpack.unpack(self._kernel, stream, target, self._limits)
            found = stream.digest()
            self._kernel.sync(str(temporary))
        except OSError as error:
            raise store.disk_failure(error) from error
        if found != diff_id:
            raise errors.Refused(
                f"a layer unpacks to {found} where the image config says {diff_id}", reason="DigestMismatch"
            )


def _open(blob: pathlib.Path) -> IO[bytes]:
    try:
        return blob.open("rb")
    except FileNotFoundError as error:
        raise errors.NotFound(f"the layer {blob.name} is not in the store", reason="ContentMissing") from error
    except OSError as error:
        raise errors.Unavailable(f"cannot read a layer: {error.strerror}", reason="HostFailure") from error


def _discard(directory: pathlib.Path) -> None:
    """Remove a directory that no record knows; what cannot be removed now is found by the next ``collect``."""
    with contextlib.suppress(OSError):
        trees.remove(directory)

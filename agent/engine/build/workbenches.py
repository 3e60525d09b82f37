"""Places where a step is done: a directory for what it mounts and fetches, made only where it is needed."""

import asyncio
import contextlib
import pathlib
import secrets
from collections.abc import AsyncIterator

from agent.engine import layout
from agent.engine.kernel import api
from agent.engine.snapshots import overlay
from agent.kit import trees

_ROOT = "rootfs"


class Workbench:
    """A place of one step."""

    def __init__(self, where: layout.Layout, kernel: api.Kernel) -> None:
        """Nothing is made yet."""
        self._where = where
        self._kernel = kernel
        self._path: pathlib.Path | None = None
        self._count = 0

    @property
    def path(self) -> pathlib.Path:
        """The directory. It lies among the containers' bundles, whose left-overs a crash leaves to recovery."""
        if self._path is None:
            self._path = self._where.bundles / f"{layout.OF_BUILDS}{secrets.token_hex(8)}"
            self._path.mkdir(mode=0o700)
        return self._path

    @property
    def root(self) -> pathlib.Path:
        """Where the step's root file system is mounted."""
        return self.path / _ROOT

    def folder(self, name: str) -> pathlib.Path:
        """Return a new directory in it."""
        self._count += 1
        folder = self.path / f"{name}-{self._count}"
        folder.mkdir(mode=0o755)
        return folder

    async def leave(self) -> None:
        """Remove it. Raises ``OSError``."""
        if self._path is not None:
            overlay.unmount_below(self._kernel, self._path)
            await asyncio.to_thread(trees.remove, self._path)


@contextlib.asynccontextmanager
async def opened(where: layout.Layout, kernel: api.Kernel) -> AsyncIterator[Workbench]:
    """Yield a place, which is gone afterwards."""
    bench = Workbench(where, kernel)
    try:
        yield bench
    finally:
        await bench.leave()

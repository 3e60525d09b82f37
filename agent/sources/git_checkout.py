"""A checkout of one ref in a directory of its own, kept at the same place so that unchanged files stay unchanged.

Relative paths in manifests (archives, bind mounts) point into it, so it is updated in place and never moved. A marker
file names the commit once the work tree is whole; without it the tree is one that a crash left half done.
"""

import asyncio
import contextlib
import os
import pathlib
import shutil
from collections.abc import AsyncIterator

from agent.kit import atomicfile, locks
from agent.sources import api, files, git_command, git_location

_QUERY_PATIENCE = 30.0
"""Seconds for asking what a ref is now."""
_FETCH_PATIENCE = 600.0
"""Seconds for a fetch: bad links are normal, and git gives up by itself on a connection that stands still."""
_LOCAL_PATIENCE = 120.0
_LOCK_PATIENCE = 60.0


class Checkout:
    """One ref of one repository on disk."""

    def __init__(self, location: git_location.GitLocation, directory: pathlib.Path) -> None:
        """Take the directory that is ours alone; it is made when something is fetched."""
        self.tree = directory / "tree"
        self._location = location
        self._directory = directory
        self._marker = directory / "commit"
        self._git = git_command.Git(location, directory / "git", self.tree)

    async def look_up(self) -> tuple[str, str]:
        """Ask the repository what the ref is now: (name to fetch, commit). Raises ``SourceUnavailable``."""
        if self._location.commit:
            return self._location.commit, self._location.commit
        wanted = _candidates(self._location.reference)
        printed = await self._git.run("ls-remote", "--", self._location.url, *wanted, patience=_QUERY_PATIENCE)
        found = {name: commit for commit, _, name in (line.partition("\t") for line in printed.splitlines())}
        for name in wanted:
            if name in found:
                return name, found.get(name + "^{}", found[name])
        what = f"no branch or tag {self._location.reference!r}" if self._location.reference else "no commits"
        raise api.SourceUnavailable(
            f"{self._location}: the repository has {what}",
            hint="give a branch, a tag or a full commit" if self._location.reference else "push a first commit",
        )

    async def stored(self) -> api.SourceSnapshot | None:
        """Read what an earlier fetch has left, without asking anybody; ``None`` where there is nothing whole."""
        if not self._commit():
            return None
        async with self._exclusive():
            commit = self._commit()
            return await self._read(commit) if commit else None

    async def bring(self, name: str, commit: str) -> api.SourceSnapshot:
        """Make sure that a ref's commit is checked out, and read it. Raises ``SourceUnavailable``.

        The snapshot's revision is a later commit where the ref has moved on since it was looked up.
        """
        async with self._exclusive():
            if self._commit() != commit:
                await self._initialise()
                try:
                    commit = await self._fetch_and_reset(name)
                except api.SourceUnavailable:
                    if await self._is_sound():
                        raise
                    # A power loss or a full disk has left what git itself refuses: once more from nothing.
                    await asyncio.to_thread(shutil.rmtree, self._directory / "git")
                    await self._initialise()
                    commit = await self._fetch_and_reset(name)
            return await self._read(commit)

    def _commit(self) -> str:
        """Give the commit that is checked out whole; empty where there is none."""
        try:
            return self._marker.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return ""

    async def _read(self, commit: str) -> api.SourceSnapshot:
        """Read tracked files only: what a container writes into the checkout declares nothing."""
        subpath = self._location.subpath
        listing = await self._git.run(
            *("ls-tree", "-r", "-z", "--full-tree", "--name-only", commit),
            *(("--", subpath) if subpath else ()),
            patience=_LOCAL_PATIENCE,
        )
        paths = sorted(filter(None, listing.split("\0")))
        if subpath and not paths:
            raise api.SourceUnavailable(f"{self._location}: the repository has no {subpath!r} at {commit[:12]}")
        return api.SourceSnapshot(commit, await asyncio.to_thread(self._read_files, paths))

    async def _initialise(self) -> None:
        if not (self._directory / "git" / "HEAD").exists():
            await self._git.run("init", "--quiet", patience=_LOCAL_PATIENCE)
        for stale in (self._directory / "git").glob("*.lock"):  # of a git that was killed: we hold the lock that counts
            stale.unlink(missing_ok=True)

    async def _is_sound(self) -> bool:
        try:
            await self._git.run("fsck", "--connectivity-only", patience=_LOCAL_PATIENCE)
        except api.SourceUnavailable:
            return False
        return True

    async def _fetch_and_reset(self, name: str) -> str:
        fetched = await self._fetch(name)
        commit = (await self._git.run("rev-parse", f"{fetched}^{{commit}}", patience=_LOCAL_PATIENCE)).strip()
        self._marker.unlink(missing_ok=True)
        await self._git.run("reset", "--quiet", "--hard", commit, patience=_LOCAL_PATIENCE)
        atomicfile.write(self._marker, commit.encode())
        await self._git.run("gc", "--auto", "--quiet", "--prune=now", patience=_LOCAL_PATIENCE)
        return commit

    async def _fetch(self, name: str) -> str:
        """Fetch and give the name by which git knows what came."""
        common = ("fetch", "--quiet", "--force", "--no-tags", "--no-recurse-submodules", "--no-auto-gc")
        try:
            await self._git.run(*common, "--depth=1", "--", self._location.url, name, patience=_FETCH_PATIENCE)
        except api.SourceUnavailable:
            if not self._location.commit:
                raise
        else:
            return "FETCH_HEAD"
        # A server that gives out no commit by its number: take all branches and tags, and look for it there.
        everything = ("+refs/heads/*:refs/remotes/all/*", "+refs/tags/*:refs/tags/*")
        await self._git.run(*common, "--", self._location.url, *everything, patience=_FETCH_PATIENCE)
        try:
            await self._git.run("cat-file", "-e", f"{name}^{{commit}}", patience=_LOCAL_PATIENCE)
        except api.SourceUnavailable as error:
            raise api.SourceUnavailable(f"{self._location}: the repository has no commit {name}") from error
        return name

    def _read_files(self, paths: list[str]) -> tuple[api.SourceFile, ...]:
        top = os.path.realpath(self.tree)
        return tuple(self._read_file(top, path) for path in paths if _is_read(path))

    def _read_file(self, top: str, path: str) -> api.SourceFile:
        full = pathlib.Path(top, path)
        directory = str(self.tree / pathlib.PurePosixPath(path).parent)
        real = os.path.realpath(full)
        if not real.startswith(top + os.sep):
            return api.SourceFile(path, directory, b"", "this symlink leaves the repository: it is not read")
        try:
            data, problem = files.read(pathlib.Path(real))
        except FileNotFoundError:
            data, problem = b"", "this symlink points to nothing" if full.is_symlink() else "is missing in the checkout"
        return api.SourceFile(path, directory, data, problem)

    @contextlib.asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        """Hold the checkout against other processes: ``plan`` beside a running agent uses the same one."""
        self._directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.tree.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = locks.FileLock(self._directory / "lock")
        deadline = asyncio.get_running_loop().time() + _LOCK_PATIENCE
        while True:
            try:
                lock.acquire()
                break
            except locks.LockedElsewhere as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise api.SourceUnavailable(f"{self._location}: {error.message}") from error
                await asyncio.sleep(0.05)
        try:
            yield
        finally:
            lock.release()


def _candidates(reference: str) -> tuple[str, ...]:
    """Give the full names that a ref may stand for, the likeliest meaning first."""
    if not reference:
        return ("HEAD",)
    if reference.startswith("refs/"):
        return (reference, reference + "^{}")
    return (f"refs/heads/{reference}", f"refs/tags/{reference}", f"refs/tags/{reference}^{{}}")


def _is_read(path: str) -> bool:
    *directories, name = path.split("/")
    return files.is_manifest(name) and not any(files.is_ignored(directory) for directory in directories)

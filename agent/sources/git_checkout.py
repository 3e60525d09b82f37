"""A clone of one ref in a directory of its own: what it declares is read from the commit, never from files on disk.

Relative paths in manifests (archives, bind mounts) need files: a tree beside the clone has the commit's, restored
whenever there is another commit, in place, so that its directory never moves and unchanged files keep their stamps.
Whatever containers write into it declares nothing. Git itself never writes into it, as a container could turn a
directory into a link meanwhile: it checks out beside it, where nobody else comes, and ``git_placing`` carries over.
A marker names the commit once clone and tree are whole; without it they are what a crash has left.
"""

import asyncio
import contextlib
import itertools
import os
import pathlib
import shutil
from collections.abc import AsyncIterator, Iterable

from agent.kit import atomicfile, locks, tasks, trees
from agent.manifests import env_file
from agent.model import external_input
from agent.sources import api, files, git_command, git_location, git_placing, git_tree
from agent.sources import limits as source_limits

_QUERY_TIMEOUT = 30.0
"""Seconds for asking what a ref is now."""
_FETCH_TIMEOUT = 600.0
"""Seconds for a fetch: bad links are normal, and git gives up by itself on a connection that stands still."""
_LOCAL_TIMEOUT = 120.0
_LOCK_TIMEOUT = 60.0
_LARGEST_LISTING = 64 * 1024 * 1024
"""Bytes of a commit's listing: a hostile tree of a few kilobytes may have billions of entries."""
_AS_COMMITTED = "* -text -filter -ident -working-tree-encoding\n"
"""Attributes by which files on disk are what the commit has, whatever its own ``.gitattributes`` say."""


class Checkout:
    """One ref of one repository on disk."""

    def __init__(
        self, location: git_location.GitLocation, directory: pathlib.Path, limits: source_limits.Limits
    ) -> None:
        """Take a directory of the checkout's own; it is created by the first fetch."""
        self.tree = directory / "tree"
        self._location = location
        self._directory = directory
        self._limits = limits
        self._marker = directory / "commit"
        self._staged = directory / "staged"
        self._placed = directory / "placed"
        self._git = git_command.Git(location, directory / "git", self._staged)

    async def look_up(self) -> tuple[str, str]:
        """Ask the repository what the ref is now: (name to fetch, commit). Raises ``SourceUnavailable``."""
        if self._location.commit:
            return self._location.commit, self._location.commit
        candidates = _candidates(self._location.reference)
        options = git_command.CommandOptions(_QUERY_TIMEOUT, remote=True)
        printed = await self._git.run(options, "ls-remote", "--", self._location.url, *candidates)
        lines = printed.decode(errors="surrogateescape").split("\n")
        commits = {name: commit for commit, _, name in (line.partition("\t") for line in lines)}
        for name in candidates:
            if name in commits:
                return name, commits.get(name + "^{}", commits[name])
        what = f"no branch or tag {self._location.reference!r}" if self._location.reference else "no commits"
        raise api.SourceUnavailable(
            f"{self._location}: the repository has {what}",
            hint="give a branch, a tag or a full commit" if self._location.reference else "push a first commit",
        )

    async def stored(self) -> api.SourceSnapshot | None:
        """Return the snapshot of an earlier fetch, without network; ``None`` where there is no complete one."""
        if not self._commit():
            return None
        async with self._exclusive():
            commit = self._commit()
            if not commit:
                return None
            try:
                return await self._read(commit)
            except git_command.TooLarge:
                raise
            except api.SourceUnavailable:  # damaged since: it is fetched anew
                return None

    async def bring(self, name: str, commit: str) -> api.SourceSnapshot:
        """Fetch a ref's commit unless it is checked out, and read it. Raises ``SourceUnavailable``.

        The snapshot's revision is a later commit where the ref has moved on since it was looked up.
        """
        async with self._exclusive():
            try:
                return await self._bring(name, commit)
            except git_command.TooLarge:
                await self._drop_fetched()
                raise
            except api.SourceUnavailable:
                if not self._has_clone() or await self._is_sound():
                    raise
            # A power loss or a full disk has left what git itself refuses: once more from nothing.
            self._marker.unlink(missing_ok=True)
            await asyncio.to_thread(shutil.rmtree, self._directory / "git")
            return await self._bring(name, commit)

    async def remove(self) -> None:
        """Remove clone and checkout."""
        if self._directory.is_dir():
            async with self._exclusive():
                self._marker.unlink(missing_ok=True)
                await asyncio.to_thread(shutil.rmtree, self._directory)

    async def _bring(self, name: str, commit: str) -> api.SourceSnapshot:
        if self._commit() != commit:
            await self._initialise()
            commit = await self._fetch_and_restore(name)
        return await self._read(commit)

    def _has_clone(self) -> bool:
        return (self._directory / "git" / "HEAD").exists()

    def _commit(self) -> str:
        """Return the commit that is completely checked out; empty where there is none."""
        try:
            return self._marker.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return ""

    async def _read(self, commit: str) -> api.SourceSnapshot:
        entries = await self._list(commit)
        targets = await self._objects(git_tree.links(entries))
        manifests = await asyncio.to_thread(self._manifests, commit, entries, targets)
        requested = [
            manifest.entry
            for manifest in manifests
            if manifest.entry is not None and not files.too_large(manifest.entry.size)
        ]
        total = sum(entry.size for entry in requested)
        if len(manifests) > self._limits.files or total > self._limits.total:
            most = f"{self._limits.files} manifests or {source_limits.megabytes(self._limits.total)}"
            raise git_command.TooLarge(
                f"{self._location}: more than {most}", hint="give a sub-path, or raise source.files and source.total"
            )
        contents = await self._objects(requested)
        source_files = await asyncio.to_thread(lambda: [self._file(manifest, contents) for manifest in manifests])
        folder = await asyncio.to_thread(self._folder, entries)
        source_files.sort(key=lambda file: file.path)
        return api.SourceSnapshot(commit, tuple(source_files), atomic=True, folder=folder)

    def _folder(self, entries: list[git_tree.Entry]) -> external_input.SourceFolder:
        """Return the tree on disk, whose small files count as committed."""
        small = [entry for entry in entries if entry.is_file and entry.size <= env_file.LARGEST]
        top = os.path.realpath(self.tree)
        object_ids = {f"{top}/{entry.path}": entry.object_id for entry in small}
        return external_input.SourceFolder(str(self.tree), lambda path: object_ids.get(path, ""))

    def _manifests(
        self, commit: str, entries: list[git_tree.Entry], targets: dict[str, bytes]
    ) -> list[git_tree.ManifestEntry]:
        tree, subpath = git_tree.GitTree(entries, targets), self._location.subpath
        if subpath and tree.resolve(subpath) is git_tree.Obstacle.MISSING:
            raise api.SourceUnavailable(f"{self._location}: the repository has no {subpath!r} at {commit[:12]}")
        return list(itertools.islice(tree.manifests(subpath, self._limits.depth), self._limits.files + 1))

    def _file(self, manifest: git_tree.ManifestEntry, contents: dict[str, bytes]) -> api.SourceFile:
        directory = str(self.tree / pathlib.PurePosixPath(manifest.path).parent)
        if manifest.entry is None:
            return api.SourceFile(manifest.path, directory, b"", manifest.problem)
        if problem := files.too_large(manifest.entry.size):
            return api.SourceFile(manifest.path, directory, b"", problem)
        return api.SourceFile(manifest.path, directory, contents[manifest.entry.object_id])

    async def _list(self, commit: str) -> list[git_tree.Entry]:
        options = git_command.CommandOptions(_LOCAL_TIMEOUT, largest=_LARGEST_LISTING)
        try:
            printed = await self._git.run(options, *("ls-tree", "-r", "-t", "-l", "-z", "--full-tree", commit))
            entries = await asyncio.to_thread(git_tree.parse_listing, printed)
        except git_tree.BadListing as error:
            raise api.SourceUnavailable(f"{self._location}: {error}") from error
        if len(entries) > self._limits.entries:
            raise git_command.TooLarge(
                f"{self._location}: the commit has more than {self._limits.entries} files", hint="see source.entries"
            )
        return entries

    async def _objects(self, entries: Iterable[git_tree.Entry]) -> dict[str, bytes]:
        """Read objects whose sizes are known to be small, by their names."""
        names = sorted({entry.object_id for entry in entries})
        if not names:
            return {}
        options = git_command.CommandOptions(_LOCAL_TIMEOUT, stdin="".join(f"{name}\n" for name in names).encode())
        try:
            objects = git_tree.parse_objects(await self._git.run(options, "cat-file", "--batch"))
        except git_tree.BadListing as error:
            raise api.SourceUnavailable(f"{self._location}: {error}") from error
        if objects.keys() != set(names):
            raise api.SourceUnavailable(f"{self._location}: the repository lacks objects that its commit names")
        return objects

    async def _initialise(self) -> None:
        git = self._directory / "git"
        if not self._has_clone():
            await self._git.run(git_command.CommandOptions(_LOCAL_TIMEOUT), "init", "--quiet", "--template=")
        for stale in git.glob("*.lock"):  # of a git that was killed: we hold the lock that counts
            stale.unlink(missing_ok=True)
        (git / "info").mkdir(exist_ok=True)
        (git / "info" / "attributes").write_text(_AS_COMMITTED)

    async def _is_sound(self) -> bool:
        try:
            await self._git.run(git_command.CommandOptions(_LOCAL_TIMEOUT), "fsck", "--connectivity-only")
        except api.SourceUnavailable:
            return False
        return True

    async def _fetch_and_restore(self, name: str) -> str:
        local = git_command.CommandOptions(_LOCAL_TIMEOUT)
        fetched = await self._fetch(name)
        commit = (await self._git.run(local, "rev-parse", f"{fetched}^{{commit}}")).decode().strip()
        size = git_tree.checkout_size(await self._list(commit))
        if size > self._limits.checkout:
            have, most = source_limits.megabytes(size), source_limits.megabytes(self._limits.checkout)
            raise git_command.TooLarge(
                f"{self._location}: the files of {commit[:12]} are {have}, the limit is {most}",
                hint="raise source.checkout, or keep large files elsewhere",
            )
        before = self._commit()
        try:
            await self._restore(commit)
        except api.SourceUnavailable:
            if before:  # a name that this disk does not take, a full disk: the previous files are back
                with contextlib.suppress(api.SourceUnavailable):
                    await self._restore(before)
            raise
        with contextlib.suppress(api.SourceUnavailable):  # what is fetched is whole: tidying up can wait
            await self._git.run(local, "gc", "--auto", "--quiet", "--prune=now")
        return commit

    async def _restore(self, commit: str) -> None:
        """Write a commit's files to the tree, without links that lead out of it: a bind of one could be of any path."""
        entries = await self._list(commit)
        targets = await self._objects(git_tree.links(entries))
        patterns = await asyncio.to_thread(git_tree.sparse_patterns, entries, targets)
        before = await self._placed_before()
        self._marker.unlink(missing_ok=True)
        try:
            await self._stage(commit, patterns)
            await tasks.in_thread(lambda: self._write_tree(entries, before))
        finally:
            await asyncio.to_thread(trees.remove, self._staged)
        atomicfile.write(self._marker, commit.encode())

    async def _stage(self, commit: str, patterns: bytes) -> None:
        """Let git check a commit out where no container has anything bound."""
        git = self._directory / "git"
        await asyncio.to_thread(trees.remove, self._staged)
        self._staged.mkdir(mode=0o700)
        (git / "index").unlink(missing_ok=True)  # it lists files that are not on disk
        atomicfile.write(git / "info" / "sparse-checkout", patterns)
        await self._git.run(git_command.CommandOptions(_LOCAL_TIMEOUT), "reset", "--quiet", "--hard", commit)

    async def _placed_before(self) -> set[str]:
        """Return the paths that earlier commits have written to the tree; other files in it are not ours to remove."""
        try:
            listing = self._placed.read_bytes()
        except FileNotFoundError:  # an earlier version let git itself write there: its index knows
            listing = await self._git.run(
                git_command.CommandOptions(_LOCAL_TIMEOUT, largest=_LARGEST_LISTING), "ls-files", "-z"
            )
        return {os.fsdecode(path) for path in listing.split(b"\0") if path}

    def _write_tree(self, entries: list[git_tree.Entry], before: set[str]) -> None:
        """Write the staged files to the tree. Their paths are recorded before, for a run that is killed meanwhile."""
        placed = {entry.path for entry in entries if os.path.lexists(self._staged / entry.path)}
        self._note_placed(before | placed)
        try:
            with git_placing.Tree(self.tree) as tree:
                tree.remove(before - placed, kept=placed)
                tree.write(self._staged, (entry.path for entry in entries if entry.path in placed))
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise api.SourceUnavailable(f"{self._location}: {self.tree} cannot be written: {why}") from error
        self._note_placed(placed)

    def _note_placed(self, paths: set[str]) -> None:
        atomicfile.write(self._placed, b"".join(os.fsencode(path) + b"\0" for path in sorted(paths)))

    async def _fetch(self, name: str) -> str:
        """Fetch, and return the name of the commit that was fetched."""
        common = ("fetch", "--quiet", "--force", "--no-tags", "--no-recurse-submodules", "--no-auto-gc")
        try:
            await self._fetch_bounded(*common, "--depth=1", "--", self._location.url, name)
        except git_command.TooLarge:
            raise
        except api.SourceUnavailable:
            if not self._location.commit:
                raise
        else:
            return "FETCH_HEAD"
        # A server that gives out no commit by its number: take all branches and tags, and look for it there.
        everything = ("+refs/heads/*:refs/remotes/all/*", "+refs/tags/*:refs/tags/*")
        await self._fetch_bounded(*common, "--", self._location.url, *everything)
        try:
            await self._git.run(git_command.CommandOptions(_LOCAL_TIMEOUT), "cat-file", "-e", f"{name}^{{commit}}")
        except api.SourceUnavailable as error:
            raise api.SourceUnavailable(f"{self._location}: the repository has no commit {name}") from error
        return name

    async def _fetch_bounded(self, *arguments: str) -> None:
        largest = self._limits.fetch
        try:
            await self._git.run(git_command.CommandOptions(_FETCH_TIMEOUT, remote=True, largest=largest), *arguments)
        except api.SourceUnavailable as error:
            # git does not say why its child has ended; what that has left does.
            parts = (self._directory / "git" / "objects" / "pack").glob("tmp_*")
            if not isinstance(error, git_command.TooLarge) and any(part.stat().st_size >= largest for part in parts):
                raise git_command.too_large(self._location, largest) from error
            raise

    async def _drop_fetched(self) -> None:
        """Drop fetched objects that must not be kept; what is checked out stays."""
        git = self._directory / "git"
        for part in (git / "objects" / "pack").glob("tmp_*"):
            part.unlink(missing_ok=True)
        (git / "FETCH_HEAD").unlink(missing_ok=True)
        with contextlib.suppress(api.SourceUnavailable):
            await self._git.run(git_command.CommandOptions(_LOCAL_TIMEOUT), "gc", "--quiet", "--prune=now")
        if not self._commit():  # nothing was ever kept: not even what gc would not remove
            await asyncio.to_thread(shutil.rmtree, git, ignore_errors=True)

    @contextlib.asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        """Hold the clone against other processes: ``plan`` beside a running agent uses the same one."""
        self._directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.tree.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = locks.FileLock(self._directory / "lock")
        deadline = asyncio.get_running_loop().time() + _LOCK_TIMEOUT
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
    """Return the full names that a ref may stand for, the likeliest meaning first."""
    if not reference:
        return ("HEAD",)
    if reference.startswith("refs/"):
        return (reference, reference + "^{}")
    return (f"refs/heads/{reference}", f"refs/tags/{reference}", f"refs/tags/{reference}^{{}}")

"""Putting a commit's files into the tree that containers may have bound writable, and never anywhere else.

Whoever writes in the tree may exchange a directory for a link to the host's files at any moment. So each directory is
opened from the one above it, without following links, and everything is done in the open directory. A file is replaced
as a whole and never written into; directories stay the ones they are, as binds hold on to them.
"""

import contextlib
import os
import pathlib
import secrets
import shutil
import stat
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Self

from agent.kit import atomicfile, files, trees

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SET_ID = stat.S_ISUID | stat.S_ISGID


class Tree:
    """The checkout's tree, open for writing files."""

    def __init__(self, top: pathlib.Path) -> None:
        """Open a tree. Raises ``OSError``."""
        self._top = os.open(top, _FOLDER)
        self._path = ""
        self._folder = os.dup(self._top)
        """The directory at ``_path``: what follows mostly lies in the same one."""

    def __enter__(self) -> Self:
        _remove_left_overs(self._top)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._folder)
        os.close(self._top)

    def write(self, staged: pathlib.Path, paths: Iterable[str]) -> None:
        """Copy paths from ``staged`` into the tree; directories come before what is in them. Raises ``OSError``."""
        for path in paths:
            parent, _, name = path.rpartition("/")
            folder = self._open(parent)
            source = staged / path
            mode = source.lstat().st_mode
            if stat.S_ISDIR(mode):
                _write_directory(folder, name)
            elif stat.S_ISLNK(mode):
                _write_link(folder, name, os.readlink(source))  # noqa: PTH115 - as it is
            else:
                _write_file(folder, name, source)

    def remove(self, paths: Iterable[str], kept: Collection[str]) -> None:
        """Remove files, links and directories that become empty; paths that are ``kept`` or absent are skipped."""
        for removed in sorted(paths, reverse=True):
            path = removed
            while path and path not in kept:
                parent, _, name = path.rpartition("/")
                try:
                    _remove_leaf(self._open(parent), name)
                except OSError:
                    break
                path = parent

    def _open(self, path: str) -> int:
        """Open a directory of the tree, component by component, without following a link."""
        if path == self._path:
            return self._folder
        folder = os.dup(self._top)
        try:
            for name in filter(None, path.split("/")):
                inner = os.open(name, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
        except BaseException:
            os.close(folder)
            raise
        os.close(self._folder)
        self._path, self._folder = path, folder
        return folder


def _write_directory(folder: int, name: str) -> None:
    _remove_obstacle(folder, name, is_directory=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=folder)
    inner = os.open(name, _FOLDER, dir_fd=folder)
    try:
        _remove_left_overs(inner)
    finally:
        os.close(inner)


def _remove_left_overs(folder: int) -> None:
    """Remove temporary files of a run that was killed."""
    for name in os.listdir(folder):
        if name.startswith(atomicfile.TEMPORARY_PREFIX):
            with contextlib.suppress(OSError):
                _remove_leaf(folder, name)


def _write_link(folder: int, name: str, target: str) -> None:
    with contextlib.suppress(OSError):
        if os.readlink(name, dir_fd=folder) == target:
            return
    temporary = _temporary_name()
    os.symlink(target, temporary, dir_fd=folder)
    _rename(folder, temporary, name)


def _write_file(folder: int, name: str, source: pathlib.Path) -> None:
    with source.open("rb") as content:
        is_executable = bool(os.fstat(content.fileno()).st_mode & stat.S_IXUSR)
        if _is_same(folder, name, content.fileno(), is_executable=is_executable):
            return
        temporary = _temporary_name()
        descriptor = os.open(temporary, _NEW_FILE, 0o600, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as copy:
                shutil.copyfileobj(content, copy, files.PIECE)
                os.fchmod(descriptor, 0o755 if is_executable else 0o644)
        except BaseException:
            os.unlink(temporary, dir_fd=folder)
            raise
    _rename(folder, temporary, name)


def _is_same(folder: int, name: str, content: int, *, is_executable: bool) -> bool:
    """Return whether a file has the content and mode already. ``content`` is at its beginning, before and after."""
    try:
        descriptor = files.open_regular(name, folder)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        present, expected = os.fstat(descriptor), os.fstat(content)
        if present.st_size != expected.st_size or present.st_mode & _SET_ID:
            return False
        if bool(present.st_mode & stat.S_IXUSR) != is_executable:
            return False
        position = 0
        while piece := os.pread(content, files.PIECE, position):
            if file.read(len(piece)) != piece:
                return False
            position += len(piece)
    return True


def _rename(folder: int, temporary: str, name: str) -> None:
    try:
        _remove_obstacle(folder, name, is_directory=False)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _remove_obstacle(folder: int, name: str, *, is_directory: bool) -> None:
    """Remove an entry of the wrong type: a file where a directory comes, or a directory where a file comes."""
    try:
        mode = os.lstat(name, dir_fd=folder).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode) and not is_directory:
        trees.remove(name, folder)
    elif is_directory and not stat.S_ISDIR(mode):
        os.unlink(name, dir_fd=folder)


def _remove_leaf(folder: int, name: str) -> None:
    if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
        os.rmdir(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


def _temporary_name() -> str:
    return atomicfile.TEMPORARY_PREFIX + secrets.token_hex(6)

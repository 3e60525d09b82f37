"""Packing of a layer: what overlayfs has written above other layers becomes a layer's tar stream.

The opposite of ``unpack``. The same tree always gives the same bytes: entries are sorted, times are whole seconds, and
owners are numbers. Nobody may change the tree meanwhile.
"""

import errno
import hashlib
import os
import pathlib
import stat
import tarfile
from collections.abc import Iterator, Sequence
from typing import Protocol

from agent.engine.layers import tar_entries, tar_headers

_WHITEOUT = ".wh."
_OPAQUE_MARK = ".wh..wh..opq"
_OPAQUE = "trusted.overlay.opaque"
_KEPT = ("user.", "security.capability")
"""Extended attributes that are an image's; ``user.overlay.`` is overlayfs' own."""
_ATTRIBUTE = "SCHILY.xattr."
_OVERLAY = "user.overlay."
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BUFFER = 1024 * 1024
_DEEPEST_PRUNED = 64
"""Directories in each other: what is deeper stays."""


class Sink(Protocol):
    """Takes the stream's bytes."""

    def write(self, data: bytes, /) -> object:
        """Take bytes."""
        ...


class _Stream:
    """A tar stream that is hashed and counted, and passed on in large pieces."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._pending = bytearray()
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Take bytes."""
        self._pending += data
        if len(self._pending) >= _BUFFER:
            self._flush()

    def pad(self, size: int) -> None:
        """Fill the last block of so many bytes up."""
        self.write(bytes(-size % tar_headers.BLOCK))

    def end(self) -> None:
        """Write the end of the archive."""
        self.write(bytes(2 * tar_headers.BLOCK))
        self._flush()
        self.write(bytes(-self.size % tarfile.RECORDSIZE))
        self._flush()

    def _flush(self) -> None:
        data = bytes(self._pending)
        self._pending.clear()
        self.hash.update(data)
        self.size += len(data)
        self._out.write(data)


def pack(top: int, out: Sink, latest: int | None = None, *, states_top: bool = True) -> tuple[str, int]:
    """Write the layer of an open directory, and return the digest of its tar stream and its size.

    ``latest``: seconds since the epoch that no entry is newer than (``SOURCE_DATE_EPOCH``). ``states_top``: the
    directory itself has an entry. Blocks. Raises ``OSError``.
    """
    stream = _Stream(out)
    _Packer(stream, latest).folder(top, "", is_stated=states_top)
    stream.end()
    return f"sha256:{stream.hash.hexdigest()}", stream.size


def prune(top: int, lower: Sequence[pathlib.Path]) -> None:
    """Remove empty directories that are the same below: overlayfs makes them for what is written, and gone.

    ``lower``: topmost first. Nothing may be mounted upon ``top``. Blocks. Raises ``OSError``.
    """
    _prune(top, (), lower)


def _prune(folder: int, parts: tuple[str, ...], lower: Sequence[pathlib.Path]) -> None:
    for name in os.listdir(folder) if len(parts) < _DEEPEST_PRUNED else ():
        if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            continue
        inner = os.open(name, _FOLDER, dir_fd=folder)
        try:
            before = os.fstat(inner)
            _prune(inner, (*parts, name), lower)
            is_empty = not os.listdir(inner) and _attributes(inner).get(_OPAQUE) != b"y"  # noqa: PTH208 - open
            os.utime(inner, ns=(before.st_atime_ns, before.st_mtime_ns))
            is_same = is_empty and _is_below((*parts, name), lower, before)
        finally:
            os.close(inner)
        if is_same:
            os.rmdir(name, dir_fd=folder)


def _is_below(parts: tuple[str, ...], lower: Sequence[pathlib.Path], own: os.stat_result) -> bool:
    """Return whether the layers below have the same directory."""
    for layer in lower:
        status = _status_below(parts, layer)
        if status is not None:
            same = (own.st_mode, own.st_uid, own.st_gid, own.st_mtime_ns)
            return (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns) == same
    return False


def _status_below(parts: tuple[str, ...], layer: pathlib.Path) -> os.stat_result | None:
    """Return what a path is in a layer; ``None`` where it is not in it, or is not reached by directories alone."""
    here = os.open(layer, _FOLDER)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER, dir_fd=here)
            os.close(here)
            here = inner
        return os.lstat(parts[-1], dir_fd=here)
    except OSError:
        return None
    finally:
        os.close(here)


class _Packer:
    """Writes the entries."""

    def __init__(self, stream: _Stream, latest: int | None) -> None:
        self._stream = stream
        self._latest = latest
        self._links: dict[tuple[int, int], str] = {}
        """Names in the archive of files that have more than one, by device and inode."""

    def folder(self, top: int, name: str, *, is_stated: bool) -> None:
        """Write an open directory with all that is below it, without recursion."""
        stack: list[tuple[int, str, Iterator[str]]] = []
        try:
            names = self._begin(top, name) if is_stated else iter(sorted(os.listdir(top)))
            stack.append((os.open(".", _FOLDER, dir_fd=top), name, names))
            while stack:
                here, prefix, names = stack[-1]
                child = next(names, None)
                if child is None:
                    os.close(stack.pop()[0])
                    continue
                path = f"{prefix}/{child}" if prefix else child
                status = os.stat(child, dir_fd=here, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    inner = os.open(child, _FOLDER, dir_fd=here)
                    stack.append((inner, path, self._begin(inner, path)))
                else:
                    self._entry(here, child, path, status)
        finally:
            for descriptor, _, _ in stack:
                os.close(descriptor)

    def _begin(self, folder: int, name: str) -> Iterator[str]:
        """Write a directory's own entry, and return the names in it."""
        entry = self._described(name or ".", os.fstat(folder))
        attributes = _attributes(folder)
        self._stream.write(tar_headers.header(_with_attributes(entry, attributes)))
        if attributes.get(_OPAQUE) == b"y":
            self._mark(f"{name}/{_OPAQUE_MARK}" if name else _OPAQUE_MARK)
        return iter(sorted(os.listdir(folder)))

    def _entry(self, folder: int, child: str, path: str, status: os.stat_result) -> None:
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFCHR and status.st_rdev == 0:
            parent = os.path.dirname(path)  # noqa: PTH120 - a name in an archive
            self._mark(f"{parent}/{_WHITEOUT}{child}" if parent else f"{_WHITEOUT}{child}")
            return
        if kind not in tar_entries.TYPES:
            return
        entry = self._described(path, status)
        if kind == stat.S_IFLNK:
            entry.linkname = os.readlink(child, dir_fd=folder)
        elif status.st_nlink > 1:
            first = self._links.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                entry.type, entry.linkname = tarfile.LNKTYPE, first
        if not entry.isreg():
            self._stream.write(tar_headers.header(entry))
            return
        descriptor = os.open(child, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            entry.size = status.st_size
            self._stream.write(tar_headers.header(_with_attributes(entry, _attributes(descriptor))))
            self._content(descriptor, entry.size, path)
        finally:
            os.close(descriptor)

    def _content(self, descriptor: int, size: int, path: str) -> None:
        remaining = size
        while remaining:
            chunk = os.read(descriptor, min(remaining, _BUFFER))
            if not chunk:
                raise OSError(errno.EIO, "it became shorter while it was packed", path)
            self._stream.write(chunk)
            remaining -= len(chunk)
        self._stream.pad(size)

    def _described(self, name: str, status: os.stat_result) -> tarfile.TarInfo:
        entry = tar_entries.described(name, status)
        if self._latest is not None:
            entry.mtime = min(entry.mtime, self._latest)
        return entry

    def _mark(self, name: str) -> None:
        """Write one of the image specification's marks: an empty file of no time."""
        self._stream.write(tar_headers.header(tarfile.TarInfo(name)))


def _attributes(descriptor: int) -> dict[str, bytes]:
    return {name: os.getxattr(descriptor, name) for name in sorted(os.listxattr(descriptor))}


def _with_attributes(entry: tarfile.TarInfo, attributes: dict[str, bytes]) -> tarfile.TarInfo:
    entry.pax_headers = {
        f"{_ATTRIBUTE}{name}": value.decode("utf-8", "surrogateescape")
        for name, value in attributes.items()
        if name.startswith(_KEPT) and not name.startswith(_OVERLAY)
    }
    return entry

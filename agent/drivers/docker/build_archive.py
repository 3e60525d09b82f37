"""A build's context as engines take it: a tar of what is not left out, with the Dockerfile. It blocks."""

import contextlib
import errno
import hashlib
import io
import os
import stat
import tarfile
from typing import IO

from agent.dockerfile import builds
from agent.kit import files
from agent.runtime import build_files

_PREFIX = ".dockerfile."
_MODE = 0o644
_LONGEST_NAME = 99
"""Bytes of a name that needs no PAX header."""


def write(request: builds.Request, out: IO[bytes]) -> str:
    """Write the tar, and return the Dockerfile's path in it. Raises ``OSError``.

    A Dockerfile that is no part of the context comes beside its files, under a name that no instruction knows; engines
    that look at ``.dockerignore`` themselves leave it out.
    """
    place = _place_in_context(request)
    name = place or f"{_PREFIX}{hashlib.sha256(request.source).hexdigest()[:16]}"
    passed_over = {name} if place and not _has_own_ignore_file(request) else {name, build_files.IGNORE_NAME}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, dereference=False) as tar:
        _add_data(tar, name, request.source)  # the first: BuildKit knows a tar by 1,024 bytes, and not by a PAX header
        if request.context is not None:
            for path, entry in build_files.entries(request.context.path, request.context.ignored):
                if path not in passed_over:
                    _add(tar, path, entry)
        if not place:
            _add_data(tar, build_files.IGNORE_NAME, _ignore_file(request) + f"\n{name}\n".encode())
    return name


def _place_in_context(request: builds.Request) -> str:
    """Return the Dockerfile's path in the context; empty where it is not there as it was read, or is left out."""
    context, file = request.context, request.file
    if context is None or file is None:
        return ""
    place = build_files.place_in(str(file), str(context.path))
    if not place.isascii() or len(place) > _LONGEST_NAME or context.ignored.leaves_out(place):
        return ""
    is_itself = os.path.realpath(file) == os.path.join(os.path.realpath(context.path), place)  # noqa: PTH118
    return place if place and is_itself and _has_text(file, request.source) else ""


def _has_text(path: os.PathLike[str], text: bytes) -> bool:
    try:
        descriptor = files.open_regular(path)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        return file.read(len(text) + 1) == text


def _has_own_ignore_file(request: builds.Request) -> bool:
    """Return whether a file beside the Dockerfile says what is left out: an engine would go by the context's."""
    return request.file is not None and os.path.lexists(f"{request.file}{build_files.IGNORE_NAME}")


def _ignore_file(request: builds.Request) -> bytes:
    """Return what the context's own file says is left out, where that is what counts."""
    if request.context is None or _has_own_ignore_file(request):
        return b""
    return build_files.read_ignore_file(request.context.path / build_files.IGNORE_NAME)


def _add(tar: tarfile.TarFile, path: str, entry: os.DirEntry[str]) -> None:
    """Add an entry as root's, whoever owns it; a socket, and what has gone since, is left out."""
    with contextlib.suppress(FileNotFoundError):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            _add_file(tar, path, entry.path, status)
            return
        if stat.S_ISSOCK(status.st_mode):
            return
        info = tar.gettarinfo(entry.path, path)
        if info.isreg():
            raise OSError(errno.ESTALE, "it was replaced while it was read", entry.path)
        tar.addfile(_of_root(info))


def _add_file(tar: tarfile.TarFile, path: str, place: str, listed: os.stat_result) -> None:
    """Add a file. Raises ``OSError`` where another one has taken its place, to which a link may lead by now."""
    with os.fdopen(files.open_regular(place), "rb") as file:
        status = os.fstat(file.fileno())
        if (status.st_dev, status.st_ino) != (listed.st_dev, listed.st_ino):
            raise OSError(errno.ESTALE, "it was replaced while it was read", place)
        info = tar.gettarinfo(arcname=path, fileobj=file)
        info.type, info.linkname = tarfile.REGTYPE, ""  # its other names may be left out
        info.size = status.st_size
        tar.addfile(_of_root(info), file)


def _add_data(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), _MODE
    tar.addfile(info, io.BytesIO(data))


def _of_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.mtime = int(info.mtime)
    info.uname = info.gname = ""
    return info

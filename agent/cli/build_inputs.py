"""What PATH and ``--file`` of ``build`` name: a directory, a Dockerfile, an archive, a git repository, or stdin."""

import asyncio
import contextlib
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterator

from agent import errors
from agent.dockerfile import limits
from agent.kit import frozen
from agent.runtime import build_files

STDIN = "-"
_STDIN_SHOWN = "<stdin>"
_LARGEST_ARCHIVE = 4 * 1024**3
"""Bytes of an archive from stdin or from a URL."""
_CHUNK = 1024 * 1024
_USTAR, _USTAR_AT = b"ustar", 257
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
"""How gzip, bzip2, xz and zstd begin."""
_UNPACKING = 600.0
_LOOKED_AT = 8192
"""Bytes of a Dockerfile that show whether it is one: as git tells text from other files."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@frozen.value
class Input:
    """The files of a build, read."""

    source: bytes
    """The Dockerfile's text."""
    shown: str
    """What the Dockerfile is called in messages."""
    dockerfile: pathlib.Path | None
    """``None``: it is no file."""
    context: pathlib.Path | None
    """``None``: there is nothing to copy."""


@contextlib.contextmanager
def opened(path: str, file: str | None) -> Iterator[Input]:
    """Read what is named, and yield it; what was fetched or unpacked for it is removed at the end.

    Raises ``errors.NotFound``, ``errors.InvalidArgument`` and ``errors.Unavailable``.
    """
    if path == STDIN and file == STDIN:
        raise errors.InvalidArgument("stdin cannot be both the context and the Dockerfile", hint="name one as a file")
    if path != STDIN and not _is_remote(path):
        _check_scheme(path)
        if not os.path.lexists(path):
            raise errors.NotFound(
                f"there is no {path}",
                hint="PATH is a directory with a Dockerfile, a Dockerfile, an archive, a git repository's URL, or -",
            )
        if not _is_archive(pathlib.Path(path)):
            yield _of_paths(path, file)
            return
    with _work() as work:
        if path == STDIN:
            yield _of_file(_from_stdin(work), _STDIN_SHOWN, file, work)
            return
        fetched = _fetched(path, work) if _is_remote(path) else pathlib.Path(path)
        yield _of_directory(fetched, path, file) if fetched.is_dir() else _of_file(fetched, path, file, work)


def _check_scheme(path: str) -> None:
    """Raise ``errors.InvalidArgument`` for a URL that is not fetched."""
    if (scheme := _SCHEME.match(path)) is not None:
        raise errors.InvalidArgument(
            f"{scheme[1]}:// is none of the URLs that are built from: {path}",
            hint="give https://HOST/REPOSITORY.git#REF:FOLDER, git:// or ssh://, or a directory",
        )


def _of_paths(path: str, file: str | None) -> Input:
    """Return the input of a directory, or of a Dockerfile, that is here."""
    if file == STDIN:
        return Input(_dockerfile_on_stdin(), _STDIN_SHOWN, None, pathlib.Path(path).absolute())
    where = build_files.Location.of(path, file)
    source = _text(where.read(), str(where.dockerfile))
    return Input(source, str(where.dockerfile), where.dockerfile.absolute(), where.context.absolute())


def _dockerfile_on_stdin() -> bytes:
    return _text(sys.stdin.buffer.read(limits.LARGEST + 1), _STDIN_SHOWN)


def _text(data: bytes, shown: str) -> bytes:
    """Return a Dockerfile's bytes. Raises ``errors.InvalidArgument`` for what is no text."""
    if b"\0" in data[:_LOOKED_AT]:
        raise errors.InvalidArgument(
            f"{shown} is neither a Dockerfile nor an archive that is read",
            hint="archives are tar, also packed by gzip, bzip2, xz or zstd",
        )
    return data


def _of_directory(folder: pathlib.Path, shown: str, file: str | None) -> Input:
    """Return the input in a directory of ours, made of ``shown``: its Dockerfile lies in there, or comes on stdin."""
    if file == STDIN:
        _check_inside(folder / build_files.IGNORE_NAME, folder)
        return Input(_dockerfile_on_stdin(), _STDIN_SHOWN, None, folder)
    name = file or build_files.DEFAULT_NAME
    dockerfile = folder / name.lstrip("/")
    _check_inside(dockerfile, folder)
    for own in build_files.Location(dockerfile, folder).ignore_files:
        _check_inside(own, folder)
    if not dockerfile.is_file():
        raise errors.NotFound(f"there is no {name} in {shown}", hint="name it: --file FILE, from the top of it on")
    where = build_files.Location(dockerfile, folder)
    return Input(_text(where.read(), name), name, dockerfile, folder)


def _check_inside(path: pathlib.Path, folder: pathlib.Path) -> None:
    """Raise ``errors.InvalidArgument`` for a file of a stranger's directory that leads out of it."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise errors.InvalidArgument(f"{path.name} leads out of its context, to {path.resolve()}")


def _of_file(data: pathlib.Path, shown: str, file: str | None, work: pathlib.Path) -> Input:
    """Return the input of a file of ours: an archive with everything, or the Dockerfile alone."""
    if _is_archive(data):
        return _of_directory(_unpacked(data, shown, work), shown, file)
    if file is not None:
        raise errors.InvalidArgument(f"{shown} is no archive that {file} could be in", hint="leave out --file")
    with data.open("rb") as opened_file:
        return Input(_text(opened_file.read(limits.LARGEST + 1), shown), shown, None, None)


def _from_stdin(work: pathlib.Path) -> pathlib.Path:
    path, size = work / "stdin", 0
    with path.open("xb") as file:
        while chunk := sys.stdin.buffer.read(_CHUNK):
            size += len(chunk)
            if size > _LARGEST_ARCHIVE:
                raise errors.InvalidArgument(f"stdin is larger than {_LARGEST_ARCHIVE} bytes")
            file.write(chunk)
    return path


def _is_archive(path: pathlib.Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_USTAR_AT + len(_USTAR))
    except OSError:
        return False
    return head.startswith(_COMPRESSED) or head[_USTAR_AT:] == _USTAR


def _unpacked(archive: pathlib.Path, shown: str, work: pathlib.Path) -> pathlib.Path:
    """Unpack an archive by ``tar``, which writes nothing outside of the folder, and knows the compressions."""
    from agent.kit import processes

    folder = work / "context"
    folder.mkdir()
    words = ["tar", "--extract", "--file", str(archive.absolute()), "--directory", str(folder), "--no-same-owner"]
    completed = processes.run_blocking(words, processes.Options(timeout=_UNPACKING))
    if completed.returncode:
        reason = completed.stderr.decode(errors="replace").strip()[-300:]
        raise errors.InvalidArgument(f"{shown} cannot be unpacked: {reason}")
    return folder


def _is_remote(path: str) -> bool:
    from agent.dockerfile import remotes

    return remotes.is_remote(path)


@contextlib.contextmanager
def opened_context(source: str) -> Iterator[pathlib.Path]:
    """Yield the directory of a named context: one that is there, or what is fetched for as long as the context lasts.

    Raises as ``opened``.
    """
    if not _is_remote(source):
        _check_scheme(source)
        if pathlib.Path(source).is_file() and _is_archive(pathlib.Path(source)):
            with _work() as work:
                folder = _unpacked(pathlib.Path(source), source, work)
                _check_inside(folder / build_files.IGNORE_NAME, folder)
                yield folder
            return
        yield pathlib.Path(source).absolute()
        return
    with _work() as work:
        fetched = _fetched(source, work)
        folder = fetched if fetched.is_dir() else _unpacked(fetched, source, work)
        _check_inside(folder / build_files.IGNORE_NAME, folder)
        yield folder


def _fetched(source: str, work: pathlib.Path) -> pathlib.Path:
    from agent.engine.build import fetching
    from agent.kit import deferral

    deferral.load()  # here threads begin
    fetcher = fetching.Fetcher(_LARGEST_ARCHIVE)
    return asyncio.run(fetcher.fetched(source, work, fetching.Wishes())).path


@contextlib.contextmanager
def _work() -> Iterator[pathlib.Path]:
    """Make a directory for what is fetched once it is needed, and remove it with what is in there."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="trimtab-build-"))
    try:
        yield folder
    finally:
        from agent.cli import interrupts
        from agent.kit import trees

        with interrupts.held():
            trees.remove(folder)

"""An image of one layer, from the tar of a root file system: what ``docker export`` or a distribution's builder gives.

What is in the tar is looked at where all layers are: when it is unpacked.
"""

import bz2
import contextlib
import dataclasses
import datetime as dt
import hashlib
import lzma
import pathlib
import platform as machine
from collections.abc import Callable, Iterator
from typing import IO, Any

from isal import igzip

from agent.engine import errors
from agent.engine.content import store
from agent.engine.layers import streams
from agent.kit import canonical
from agent.oci import descriptor, mediatypes, platform

_CHUNK = 1024 * 1024
_LEVEL = 2
"""Of isal's three: as fast as a disk, and hardly larger than what gzip makes."""
_HEAD = 6
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_XZ = b"\xfd7zXZ\x00"
_BZIP2 = b"BZh"
_XZ_MEMORY = 256 * 1024 * 1024
"""Bytes that unpacking may take: four times what the highest preset needs."""
_DAMAGED = (EOFError, lzma.LZMAError, OSError, ValueError)


@dataclasses.dataclass(frozen=True, slots=True)
class Root:
    """How a root file system is to be run."""

    created: float
    """Seconds since the epoch."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = ""
    user: str = ""
    labels: tuple[tuple[str, str], ...] = ()


def made(path: pathlib.Path, root: Root, content: store.ContentStore) -> bytes:
    """Make an image in the store, for this host's platform, and give its manifest.

    The tar may be compressed by gzip, zstd, xz or bzip2, or not at all; a layer is compressed. Raises
    ``errors.NotFound`` (``ArchiveNotFound``), ``errors.Refused``, ``errors.Unavailable``.
    """
    try:
        if not path.is_file():
            return _refuse(path)
        with path.open("rb") as file, _compressed(file, content) as packed:
            layer, diff_id = _layer(packed, content)
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be read: {error.strerror}", reason="HostFailure") from error
    config = content.put(mediatypes.CONFIG, canonical.dumps(_config(root, diff_id)))
    told = {
        "schemaVersion": 2,
        "mediaType": mediatypes.MANIFEST,
        "config": config.document(),
        "layers": [layer.document()],
    }
    return canonical.dumps(told)


def _refuse(path: pathlib.Path) -> bytes:
    if path.exists():
        raise errors.Refused(f"{path} is no file", hint="give the tar of a root file system", reason="ArchiveDamaged")
    raise errors.NotFound(f"there is no file {path}", hint="build or copy it there", reason="ArchiveNotFound")


@contextlib.contextmanager
def _compressed(file: IO[bytes], content: store.ContentStore) -> Iterator[IO[bytes]]:
    """Give a tar as a layer may be: one that is compressed by gzip or zstd as it is, others by gzip."""
    head = file.read(_HEAD)
    file.seek(0)
    if head.startswith((_GZIP, _ZSTD)):
        yield file
        return
    size = max(1, file.seek(0, 2))
    file.seek(0)
    bounded = streams.Bounded(_plain(file, head), size, streams.Limits())
    with content.scratch() as packed:
        target: Any  # isal says nothing of its types
        with igzip.IGzipFile("", "wb", _LEVEL, packed, 0) as target:  # type: ignore[no-untyped-call]
            while chunk := bounded.read(_CHUNK):
                target.write(chunk)
        packed.seek(0)
        yield packed


def _plain(file: IO[bytes], head: bytes) -> streams.Reader:
    if head.startswith(_XZ):
        return _Decompressed(file, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY))
    if head.startswith(_BZIP2):
        return _Decompressed(file, bz2.BZ2Decompressor)
    return file


class _Decompressed:
    """The plain bytes of a file of one or more compressed streams."""

    def __init__(self, file: IO[bytes], begin: Callable[[], lzma.LZMADecompressor | bz2.BZ2Decompressor]) -> None:
        self._file = file
        self._begin = begin
        self._stream = begin()

    def read(self, size: int, /) -> bytes:
        try:
            while True:
                chunk = b""
                if self._stream.eof:
                    chunk = self._stream.unused_data.lstrip(b"\0") or self._file.read(_CHUNK).lstrip(b"\0")
                    if not chunk:
                        return b""
                    self._stream = self._begin()
                elif self._stream.needs_input and not (chunk := self._file.read(_CHUNK)):
                    return _cut()
                if plain := self._stream.decompress(chunk, size):
                    return plain
        except _DAMAGED as error:
            raise errors.Refused(f"the archive cannot be decompressed: {error}", reason="LayerDamaged") from error


def _cut() -> bytes:
    raise EOFError("it ends in the middle")


class _Hashed:
    """A stream whose bytes are hashed and counted as they pass."""

    def __init__(self, source: streams.Reader) -> None:
        self._source = source
        self.hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int, /) -> bytes:
        chunk = self._source.read(size)
        self.hash.update(chunk)
        self.size += len(chunk)
        return chunk


def _layer(packed: IO[bytes], content: store.ContentStore) -> tuple[descriptor.Descriptor, str]:
    """Bring a layer into the store, and give its descriptor and the digest of its tar."""
    head = packed.read(_HEAD)
    size = packed.seek(0, 2)
    packed.seek(0)
    hashed = _Hashed(packed)
    diff_id = streams.Bounded(streams.decompressed(hashed), size, streams.Limits()).digest()
    while hashed.read(_CHUNK):
        pass
    kind = mediatypes.LAYER_ZSTD if head.startswith(_ZSTD) else mediatypes.LAYER_GZIP
    told = descriptor.Descriptor(kind, f"sha256:{hashed.hash.hexdigest()}", hashed.size)
    if not content.has(told.digest):
        packed.seek(0)
        with content.ingest(told) as target:
            while chunk := packed.read(_CHUNK):
                target.write(chunk)
    return told, diff_id


def _config(root: Root, diff_id: str) -> dict[str, object]:
    here = platform.of_machine(machine.machine())
    created = dt.datetime.fromtimestamp(int(root.created), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    run = {
        "Entrypoint": list(root.entrypoint),
        "Cmd": list(root.command),
        "Env": [f"{name}={value}" for name, value in root.env],
        "WorkingDir": root.working_dir,
        "User": root.user,
        "Labels": dict(root.labels),
    }
    return {
        "created": created,
        "os": here.os,
        "architecture": here.architecture,
        **({"variant": here.variant} if here.variant else {}),
        "config": {name: value for name, value in run.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "trimtab image import"}],
    }

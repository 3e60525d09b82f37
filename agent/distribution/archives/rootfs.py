"""An image of one layer, from the tar of a root file system: what ``docker export`` or a distribution's builder gives.

The content of the tar is checked as that of every layer: when it is unpacked.
"""

import contextlib
import datetime as dt
import hashlib
import pathlib
import platform as machine
from collections.abc import Iterator
from typing import IO, Any

from isal import igzip

from agent import errors
from agent.distribution.content import store
from agent.distribution.layers import streams
from agent.kit import canonical
from agent.oci import archives, descriptor, mediatypes, platform
from agent.reasons import Reason

_CHUNK = 1024 * 1024
_LEVEL = 2
"""Compression level, of isal's three: as fast as a disk, and hardly larger than gzip's output."""


def make_image(path: pathlib.Path, root: archives.RootImage, created: float, content: store.ContentStore) -> bytes:
    """Make an image in the store, for this host's platform, and return its manifest.

    ``created``: seconds since the epoch. The tar may be compressed by gzip, zstd, xz or bzip2, or not at all; a layer
    is compressed. Raises ``errors.NotFound`` (``ArchiveNotFound``), ``errors.InvalidArgument``, ``errors.Unavailable``.
    """
    try:
        if not path.is_file():
            return _refuse(path)
        with path.open("rb") as file, _compressed(file, content) as packed:
            layer, diff_id = _layer(packed, content)
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be read: {error.strerror}", reason=Reason.HOST_FAILURE) from error
    config = content.put(mediatypes.CONFIG, canonical.dumps(_config(root, created, diff_id)))
    fields = {
        "schemaVersion": 2,
        "mediaType": mediatypes.MANIFEST,
        "config": config.document(),
        "layers": [layer.document()],
    }
    return canonical.dumps(fields)


def _refuse(path: pathlib.Path) -> bytes:
    if path.exists():
        raise errors.InvalidArgument(
            f"{path} is no file", hint="give the tar of a root file system", reason=Reason.ARCHIVE_DAMAGED
        )
    raise errors.NotFound(f"there is no file {path}", hint="build or copy it there", reason=Reason.ARCHIVE_NOT_FOUND)


@contextlib.contextmanager
def _compressed(file: IO[bytes], content: store.ContentStore) -> Iterator[IO[bytes]]:
    """Yield a tar in a layer's compression: gzip or zstd as it is, anything else packed by gzip."""
    head = file.read(streams.HEAD)
    file.seek(0)
    if streams.packing(head) in {"gzip", "zstd"}:
        yield file
        return
    size = max(1, file.seek(0, 2))
    file.seek(0)
    bounded = streams.Bounded(streams.decompressed(file), size, streams.Limits())
    with content.scratch() as packed:
        target: Any  # isal has no types
        with igzip.IGzipFile("", "wb", _LEVEL, packed, 0) as target:  # type: ignore[no-untyped-call]
            while chunk := bounded.read(_CHUNK):
                target.write(chunk)
        packed.seek(0)
        yield packed


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
    """Import a layer into the content store, and return its descriptor and the digest of its tar."""
    head = packed.read(streams.HEAD)
    size = packed.seek(0, 2)
    packed.seek(0)
    hashed = _Hashed(packed)
    diff_id = streams.Bounded(streams.decompressed(hashed), size, streams.Limits()).digest()
    while hashed.read(_CHUNK):
        pass
    kind = mediatypes.LAYER_ZSTD if streams.packing(head) == "zstd" else mediatypes.LAYER_GZIP
    blob = descriptor.Descriptor(kind, f"sha256:{hashed.hash.hexdigest()}", hashed.size)
    if not content.has(blob.digest):
        packed.seek(0)
        with content.ingest(blob) as target:
            while chunk := packed.read(_CHUNK):
                target.write(chunk)
    return blob, diff_id


def _config(root: archives.RootImage, created: float, diff_id: str) -> dict[str, object]:
    here = platform.of_machine(machine.machine())
    moment = dt.datetime.fromtimestamp(int(created), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    run = {
        "Entrypoint": list(root.entrypoint),
        "Cmd": list(root.command),
        "Env": [f"{name}={value}" for name, value in root.env],
        "WorkingDir": root.working_dir,
        "User": root.user,
        "Labels": dict(root.labels),
    }
    return {
        "created": moment,
        "os": here.os,
        "architecture": here.architecture,
        **({"variant": here.variant} if here.variant else {}),
        "config": {name: value for name, value in run.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": moment, "created_by": "trimtab image import"}],
    }

"""Blobs on disk. A blob is there whole and verified, or not at all.

The directory is an OCI image layout (image specification, "OCI Image Layout"): ``blobs/sha256/...``, ``oci-layout``
and an ``index.json`` that the image store keeps. What is being written lies in ``ingest`` and is nobody's until it is
renamed.
"""

import contextlib
import errno
import hashlib
import os
import pathlib
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

from agent.engine import errors, layout
from agent.kit import atomicfile, canonical, failpoint
from agent.oci import descriptor, digest

_INGEST = failpoint.register("content.ingest")
_COMMIT = failpoint.register("content.commit")

_SMALL = 4 * 1024 * 1024
"""Bytes: what registries accept as a manifest."""
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class ContentStore:
    """All blobs of an instance."""

    def __init__(self, where: layout.Layout) -> None:
        """Nothing is read or made yet."""
        self._root = where.content
        self._blobs = where.content / "blobs"
        self._ingest = where.content / "ingest"

    def prepare(self) -> None:
        """Make the layout, and take away what a crash left in ``ingest``."""
        for folder in (self._blobs / "sha256", self._blobs / "sha512", self._ingest):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self._root / "oci-layout").exists():
            atomicfile.write(self._root / "oci-layout", _LAYOUT)
        for left_over in self._ingest.iterdir():
            left_over.unlink()

    def path(self, wanted: str) -> pathlib.Path:
        """Give where a blob lies or would lie. Raises ``oci.digest.InvalidDigest``: a digest can never be a path."""
        algorithm, encoded = digest.parse(wanted)
        return self._blobs / algorithm / encoded

    def has(self, wanted: str) -> bool:
        """Tell whether a blob is there."""
        return self.path(wanted).exists()

    def read(self, wanted: str) -> bytes:
        """Read a small blob whole: a manifest or config. Raises ``errors.NotFound``, ``errors.Refused``."""
        try:
            with self.path(wanted).open("rb") as file:
                data = file.read(_SMALL + 1)
        except FileNotFoundError as error:
            raise errors.NotFound(f"content {wanted} is not in the store", reason="ContentMissing") from error
        if len(data) > _SMALL:
            raise errors.Refused(f"{wanted} is too large for what it should be", reason="ImageRefused")
        return data

    @contextlib.contextmanager
    def ingest(self, expected: descriptor.Descriptor) -> Iterator["Ingest"]:
        """Write a blob: it is kept when the block ends well and the bytes are those that the descriptor says.

        Raises ``errors.Refused`` (``DigestMismatch``) otherwise, and ``errors.Unavailable`` (``DiskFull``).
        """
        temporary = self._ingest / secrets.token_hex(8)
        target = self.path(expected.digest)
        try:
            with _full_disk_told():
                with temporary.open("xb") as file:
                    writer = Ingest(file.fileno(), expected)
                    yield writer
                    _INGEST.hit()
                    writer.verify()
                    os.fsync(file.fileno())
                temporary.rename(target)
                atomicfile.sync_directory(target.parent)
            _COMMIT.hit()
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[IO[bytes]]:
        """Give a file without a name on the store's disk. Raises ``errors.Unavailable`` (``DiskFull``)."""
        with _full_disk_told(), tempfile.TemporaryFile(dir=self._ingest) as file:
            yield file

    def put(self, media_type: str, data: bytes) -> descriptor.Descriptor:
        """Keep bytes that we have, under their own digest."""
        told = descriptor.Descriptor(media_type, digest.of(data), len(data))
        if not self.has(told.digest):
            with self.ingest(told) as writer:
                writer.write(data)
        return told

    def delete(self, wanted: str) -> None:
        """Remove a blob; one that is not there is no failure."""
        self.path(wanted).unlink(missing_ok=True)

    def digests(self) -> frozenset[str]:
        """Give the digests of all blobs."""
        return frozenset(f"{folder.name}:{blob.name}" for folder in self._blobs.iterdir() for blob in folder.iterdir())

    def unfinished(self) -> list[str]:
        """Name what lies in ``ingest``; outside of a pull that is nothing."""
        return sorted(entry.name for entry in self._ingest.iterdir())

    def write_index(self, manifests: Iterable[descriptor.Descriptor]) -> None:
        """Write the layout's table of contents, the one file by which other tools find the images."""
        index = {"schemaVersion": 2, "manifests": [entry.document() for entry in manifests]}
        atomicfile.write(self._root / "index.json", canonical.dumps(index), durable=False)


class Ingest:
    """A blob being written."""

    def __init__(self, file: int, expected: descriptor.Descriptor) -> None:
        """Write to an open file."""
        self._file = file
        self._expected = expected
        self._hash = hashlib.new(digest.parse(expected.digest)[0])
        self.written = 0

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises ``errors.Refused`` as soon as they are more than announced."""
        self.written += len(chunk)
        if self.written > self._expected.size:
            raise self._mismatch(f"more than the announced {self._expected.size} bytes")
        self._hash.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._file, view) :]

    def verify(self) -> None:
        """Compare with what was announced. Raises ``errors.Refused``."""
        if self.written != self._expected.size:
            raise self._mismatch(f"{self.written} bytes and not {self._expected.size}")
        if self._hash.hexdigest() != digest.parse(self._expected.digest)[1]:
            raise self._mismatch(f"digest {self._hash.name}:{self._hash.hexdigest()}")

    def _mismatch(self, found: str) -> errors.Refused:
        return errors.Refused(
            f"content that should be {self._expected.digest} has {found}",
            hint="it was damaged or changed on its way; nothing of it was kept",
            reason="DigestMismatch",
        )


@contextlib.contextmanager
def _full_disk_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_failure(error) from error


def disk_failure(error: OSError) -> errors.Unavailable:
    """Say what a failed write means."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    reason, hint = ("DiskFull", "free space on the disk of --root") if full else ("HostFailure", "")
    return errors.Unavailable(f"cannot write: {error.strerror}", hint=hint, reason=reason)

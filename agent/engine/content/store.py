"""Blobs on disk. A blob is there whole and verified, or not at all.

The directory is an OCI image layout (image specification, "OCI Image Layout"): ``blobs/sha256/...``, ``oci-layout``
and an ``index.json`` that the image store keeps. What is being written lies in ``ingest`` and is nobody's until it is
renamed. A download that breaks off leaves its part there, to go on from, also after a restart of the agent: it is
hashed anew, so that whatever a power loss made of it is found out.
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
from agent.kit import atomicfile, canonical, failpoint, files
from agent.oci import descriptor, digest

_INGEST = failpoint.register("content.ingest")
_COMMIT = failpoint.register("content.commit")

_PARTIAL = "partial-"
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
        """Make the layout, and take away what a crash left half written."""
        for folder in (self._blobs / "sha256", self._blobs / "sha512", self._ingest):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self._root / "oci-layout").exists():
            atomicfile.write(self._root / "oci-layout", _LAYOUT)
        for name in self.unfinished():
            (self._ingest / name).unlink()
        for left in self._root.glob(f"{atomicfile.TEMPORARY_PREFIX}*"):  # of a table of contents that was being written
            left.unlink(missing_ok=True)

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
        try:
            with full_disk_told():
                with temporary.open("x+b") as file:
                    writer = Ingest(temporary, file.fileno(), expected)
                    yield writer
                    writer.verify()
                    os.fsync(file.fileno())
                self.keep(writer)
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def resumed(self, expected: descriptor.Descriptor) -> Iterator["Ingest"]:
        """Write a blob that may be there in part, for one writer at a time; ``keep`` makes a blob of it.

        What was written is there for the next attempt, unless it is wrong or the disk is full.
        """
        temporary = self._ingest / self._partial(expected.digest)
        try:
            with full_disk_told(), temporary.open("a+b") as file:
                there = os.fstat(file.fileno()).st_size
                if there > expected.size:
                    os.truncate(file.fileno(), 0)
                    there = 0
                yield Ingest(temporary, file.fileno(), expected, there)
        except errors.EngineError as error:
            if isinstance(error, errors.Refused) or error.reason == "DiskFull":
                temporary.unlink(missing_ok=True)
            raise

    def keep(self, written: "Ingest") -> None:
        """Make a blob of what is verified and on the disk for good."""
        _INGEST.hit()
        target = self.path(written.expected.digest)
        with full_disk_told():
            written.path.rename(target)
            atomicfile.sync_directory(target.parent)
        _COMMIT.hit()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[IO[bytes]]:
        """Give a file without a name on the store's disk. Raises ``errors.Unavailable`` (``DiskFull``)."""
        with full_disk_told(), tempfile.TemporaryFile(dir=self._ingest) as file:
            yield file

    def put(self, media_type: str, data: bytes) -> descriptor.Descriptor:
        """Keep bytes that we have, under their own digest."""
        told = descriptor.Descriptor(media_type, digest.of(data), len(data))
        if not self.has(told.digest):
            with self.ingest(told) as writer:
                writer.write(data)
        return told

    def condemn(self, wanted: str) -> pathlib.Path:
        """Take a blob out of the store, and give the file that is left to remove: it may come anew meanwhile."""
        left = self._ingest / secrets.token_hex(8)
        self.path(wanted).rename(left)
        return left

    def digests(self) -> frozenset[str]:
        """Give the digests of all blobs."""
        return frozenset(f"{folder.name}:{blob.name}" for folder in self._blobs.iterdir() for blob in folder.iterdir())

    def unfinished(self) -> list[str]:
        """Name what is being written; outside of a pull that is nothing."""
        return sorted(entry.name for entry in self._ingest.iterdir() if not entry.name.startswith(_PARTIAL))

    def partials(self, without: frozenset[str] = frozenset()) -> list[pathlib.Path]:
        """Give what downloads have left to go on from, but for those of some digests."""
        names = {self._partial(one) for one in without}
        found = [one for one in self._ingest.iterdir() if one.name.startswith(_PARTIAL) and one.name not in names]
        return sorted(found)

    def forget_partials(self, kept: frozenset[str], older_than: float) -> None:
        """Remove what nobody has gone on with since a time, but for those of some digests."""
        for path in self.partials(kept):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    path.unlink()

    @staticmethod
    def _partial(wanted: str) -> str:
        return f"{_PARTIAL}{'-'.join(digest.parse(wanted))}"

    def write_index(self, manifests: Iterable[descriptor.Descriptor]) -> None:
        """Write the layout's table of contents, the one file by which other tools find the images."""
        index = {"schemaVersion": 2, "manifests": [entry.document() for entry in manifests]}
        atomicfile.write(self._root / "index.json", canonical.dumps(index), durable=False)


class Ingest:
    """A blob being written."""

    def __init__(self, path: pathlib.Path, file: int, expected: descriptor.Descriptor, there: int = 0) -> None:
        """Write to an open file, behind the bytes that are there; those have to be replayed first."""
        self.path = path
        self.expected = expected
        self.there = there
        self._file = file
        self._hash = hashlib.new(digest.parse(expected.digest)[0])
        self.written = 0

    def replay(self, size: int) -> bytes:
        """Read again what an earlier attempt has written, up to ``size`` bytes at a time; none at its end."""
        chunk = os.pread(self._file, min(size, self.there - self.written), self.written)
        self._hash.update(chunk)
        self.written += len(chunk)
        return chunk

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises ``errors.Refused`` as soon as they are more than announced."""
        self.written += len(chunk)
        if self.written > self.expected.size:
            raise self._mismatch(f"more than the announced {self.expected.size} bytes")
        self._hash.update(chunk)
        files.write_all(self._file, chunk)

    def verify(self) -> None:
        """Compare with what was announced. Raises ``errors.Refused``."""
        if self.written != self.expected.size:
            raise self._mismatch(f"{self.written} bytes and not {self.expected.size}")
        if self._hash.hexdigest() != digest.parse(self.expected.digest)[1]:
            raise self._mismatch(f"digest {self._hash.name}:{self._hash.hexdigest()}")

    def _mismatch(self, found: str) -> errors.Refused:
        return errors.Refused(
            f"content that should be {self.expected.digest} has {found}",
            hint="it was damaged or changed on its way; nothing of it was kept",
            reason="DigestMismatch",
        )


@contextlib.contextmanager
def full_disk_told() -> Iterator[None]:
    """Say what failed writes mean: ``errors.Unavailable`` (``DiskFull``, ``HostFailure``)."""
    try:
        yield
    except OSError as error:
        raise disk_failure(error) from error


def disk_failure(error: OSError) -> errors.Unavailable:
    """Say what a failed write means."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    reason, hint = ("DiskFull", "free space on the disk of --root") if full else ("HostFailure", "")
    return errors.Unavailable(f"cannot write: {error.strerror}", hint=hint, reason=reason)

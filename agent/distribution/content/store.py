"""The content store: blobs on disk, each complete and verified or absent.

The directory is an OCI image layout (image specification, "OCI Image Layout"): ``blobs/sha256/...``, ``oci-layout``
and an ``index.json`` that the image store keeps. Unfinished writes lie in ``ingest`` until they are renamed. A
download that breaks off leaves its part there, to be resumed, also after a restart of the agent: it is hashed anew, so
that damage by a power loss is noticed.
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

from agent import errors
from agent.kit import atomicfile, canonical, counts, failpoint, files
from agent.oci import descriptor, digest
from agent.reasons import Reason

_INGEST = failpoint.register("content.ingest")
_COMMIT = failpoint.register("content.commit")

_PARTIAL = "partial-"
_SMALL = 4 * 1024 * 1024
"""Bytes: the largest manifest that registries accept."""
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class ContentStore:
    """All blobs of one directory."""

    def __init__(self, root: pathlib.Path) -> None:
        """Take the store's directory; nothing is read or created yet."""
        self._root = root
        self._blobs = root / "blobs"
        self._ingest = root / "ingest"

    def prepare(self) -> None:
        """Create the layout, and remove what a crash left half written."""
        for folder in (self._blobs / "sha256", self._blobs / "sha512", self._ingest):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self._root / "oci-layout").exists():
            atomicfile.write(self._root / "oci-layout", _LAYOUT)
        for name in self.unfinished():
            (self._ingest / name).unlink()
        for path in self._root.glob(f"{atomicfile.TEMPORARY_PREFIX}*"):  # of an unfinished index.json
            path.unlink(missing_ok=True)

    def path(self, blob: str) -> pathlib.Path:
        """Return a blob's path, stored or not. Raises ``oci.digest.InvalidDigest``: a digest can never be a path."""
        algorithm, encoded = digest.parse(blob)
        return self._blobs / algorithm / encoded

    def has(self, blob: str) -> bool:
        """Return whether a blob is stored."""
        return self.path(blob).exists()

    def holds(self, blob: descriptor.Descriptor) -> bool:
        """Return whether a blob is stored in its full size; a truncated one counts as missing."""
        try:
            return self.path(blob.digest).stat().st_size == blob.size
        except FileNotFoundError:
            return False

    def is_sound(self, blob: str) -> bool:
        """Return whether a blob has the bytes of its digest. Reads all of it: for threads."""
        hashed = hashlib.new(digest.parse(blob)[0])
        try:
            with self.path(blob).open("rb") as file:
                while chunk := file.read(_SMALL):
                    hashed.update(chunk)
        except OSError:
            return False
        return hashed.hexdigest() == digest.parse(blob)[1]

    def drop(self, blob: str) -> None:
        """Remove a blob that is damaged."""
        self.path(blob).unlink(missing_ok=True)

    def read(self, blob: str) -> bytes:
        """Read a small blob whole: a manifest or config. Raises ``errors.NotFound``, ``errors.InvalidArgument``."""
        try:
            with self.path(blob).open("rb") as file:
                data = file.read(_SMALL + 1)
        except FileNotFoundError as error:
            raise errors.NotFound(f"content {blob} is not in the store", reason=Reason.CONTENT_MISSING) from error
        if len(data) > _SMALL:
            raise errors.InvalidArgument(f"{blob} is too large for what it should be", reason=Reason.IMAGE_REFUSED)
        return data

    @contextlib.contextmanager
    def ingest(self, expected: descriptor.Descriptor) -> Iterator["Ingest"]:
        """Write a blob: it is kept when the block ends well and the bytes are those that the descriptor says.

        Raises ``errors.InvalidArgument`` (``DigestMismatch``) otherwise, and ``errors.Unavailable`` (``DiskFull``).
        """
        temporary = self._ingest / secrets.token_hex(8)
        try:
            with translated_writes():
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
        """Yield an ingest that may resume an earlier attempt, for one writer at a time; ``keep`` makes a blob of it.

        The written part is kept for the next attempt, unless it is wrong or the disk is full.
        """
        temporary = self._ingest / self._partial(expected.digest)
        try:
            with translated_writes(), temporary.open("a+b") as file:
                size = os.fstat(file.fileno()).st_size
                if size > expected.size:
                    os.truncate(file.fileno(), 0)
                    size = 0
                yield Ingest(temporary, file.fileno(), expected, size)
        except errors.Failure as error:
            if isinstance(error, errors.InvalidArgument) or error.reason is Reason.DISK_FULL:
                temporary.unlink(missing_ok=True)
            raise

    def keep(self, ingest: "Ingest") -> None:
        """Commit an ingest that is verified and flushed to the disk."""
        _INGEST.hit()
        target = self.path(ingest.expected.digest)
        with translated_writes():
            ingest.path.rename(target)
            atomicfile.sync_directory(target.parent)
        _COMMIT.hit()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[IO[bytes]]:
        """Yield an unnamed temporary file on the store's disk. Raises ``errors.Unavailable`` (``DiskFull``)."""
        with translated_writes(), tempfile.TemporaryFile(dir=self._ingest) as file:
            yield file

    @contextlib.contextmanager
    def unfinished_file(self) -> Iterator[tuple[pathlib.Path, IO[bytes]]]:
        """Yield a new file on the store's disk, to be adopted; otherwise it is removed.

        Raises ``errors.Unavailable`` (``DiskFull``).
        """
        temporary = self._ingest / secrets.token_hex(8)
        try:
            with translated_writes(), temporary.open("x+b") as file:
                yield temporary, file
        finally:
            temporary.unlink(missing_ok=True)

    def adopt(self, path: pathlib.Path, blob: descriptor.Descriptor) -> None:
        """Make a blob of an unfinished file that has the descriptor's bytes, and is flushed to the disk."""
        target = self.path(blob.digest)
        path.rename(target)
        atomicfile.sync_directory(target.parent)

    def put(self, media_type: str, data: bytes) -> descriptor.Descriptor:
        """Store bytes under their own digest, replacing a damaged blob."""
        blob = descriptor.Descriptor(media_type, digest.of(data), len(data))
        if not self.holds(blob) or self.read(blob.digest) != data:
            with self.ingest(blob) as writer:
                writer.write(data)
        return blob

    def detach(self, blob: str) -> pathlib.Path:
        """Move a blob out of the store, and return the file to remove; it may be stored again meanwhile."""
        detached = self._ingest / secrets.token_hex(8)
        self.path(blob).rename(detached)
        return detached

    def digests(self) -> frozenset[str]:
        """Return the digests of all blobs."""
        return frozenset(f"{folder.name}:{blob.name}" for folder in self._blobs.iterdir() for blob in folder.iterdir())

    def unfinished(self) -> list[str]:
        """Return the names of unfinished writes; outside of a pull there are none."""
        return sorted(entry.name for entry in self._ingest.iterdir() if not entry.name.startswith(_PARTIAL))

    def partials(self, without: frozenset[str] = frozenset()) -> list[pathlib.Path]:
        """Return the partial downloads, but for those of some digests."""
        names = {self._partial(blob) for blob in without}
        partials = [
            path for path in self._ingest.iterdir() if path.name.startswith(_PARTIAL) and path.name not in names
        ]
        return sorted(partials)

    def forget_partials(self, kept: frozenset[str], older_than: float) -> None:
        """Remove partial downloads that were not resumed since a time, but for those of some digests."""
        for path in self.partials(kept):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    path.unlink()

    @staticmethod
    def _partial(blob: str) -> str:
        return f"{_PARTIAL}{'-'.join(digest.parse(blob))}"

    def write_index(self, manifests: Iterable[descriptor.Descriptor]) -> None:
        """Write the layout's table of contents, the one file by which other tools find the images."""
        index = {"schemaVersion": 2, "manifests": [entry.document() for entry in manifests]}
        atomicfile.write(self._root / "index.json", canonical.dumps(index), durable=False)


class Ingest:
    """A blob being written."""

    def __init__(self, path: pathlib.Path, file: int, expected: descriptor.Descriptor, resumed: int = 0) -> None:
        """Write to an open file, behind the ``resumed`` bytes, which have to be replayed first."""
        self.path = path
        self.expected = expected
        self.resumed = resumed
        self._file = file
        self._hash = hashlib.new(digest.parse(expected.digest)[0])
        self.position = 0

    def replay(self, size: int) -> bytes:
        """Hash and return what an earlier attempt has written, up to ``size`` bytes at a time; none at its end."""
        chunk = os.pread(self._file, min(size, self.resumed - self.position), self.position)
        self._hash.update(chunk)
        self.position += len(chunk)
        return chunk

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises ``errors.InvalidArgument`` as soon as they are more than announced."""
        self.position += len(chunk)
        if self.position > self.expected.size:
            raise self._mismatch(f"more than the announced {counts.counted(self.expected.size, 'byte')}")
        self._hash.update(chunk)
        files.write_all(self._file, chunk)

    def verify(self) -> None:
        """Compare with what was announced. Raises ``errors.InvalidArgument``."""
        if self.position != self.expected.size:
            raise self._mismatch(f"{counts.counted(self.position, 'byte')} and not {self.expected.size}")
        if self._hash.hexdigest() != digest.parse(self.expected.digest)[1]:
            raise self._mismatch(f"digest {self._hash.name}:{self._hash.hexdigest()}")

    def _mismatch(self, actual: str) -> errors.InvalidArgument:
        return errors.InvalidArgument(
            f"content that should be {self.expected.digest} has {actual}",
            hint="it was damaged or changed on its way; nothing of it was kept",
            reason=Reason.DIGEST_MISMATCH,
        )


@contextlib.contextmanager
def translated_writes() -> Iterator[None]:
    """Translate failed writes: ``errors.Unavailable`` (``DiskFull``, ``HostFailure``)."""
    try:
        yield
    except OSError as error:
        raise disk_failure(error) from error


def disk_failure(error: OSError) -> errors.Unavailable:
    """Return a failed write as an engine error."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    reason, hint = (Reason.DISK_FULL, "free space on the disk of --root") if full else (Reason.HOST_FAILURE, "")
    return errors.Unavailable(f"cannot write: {error.strerror}", hint=hint, reason=reason)

"""A layer's bytes on their way: decompressed by what they are, counted, hashed, and bounded."""

import dataclasses
import hashlib
import io
import pathlib
import zlib
from typing import IO, Protocol

import zstandard
from isal import igzip, igzip_lib

from agent.engine import errors

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_DAMAGED: tuple[type[Exception], ...] = (
    *(EOFError, ValueError, zlib.error, igzip.BadGzipFile, zstandard.ZstdError),
    igzip_lib.IsalError,  # type: ignore[assignment] # its stub takes the class for an instance
)
_CHUNK = 1024 * 1024
_RATIO_FROM = 64 * 1024 * 1024
"""Unpacked bytes from which the ratio is looked at: small layers of zeros are common and harmless."""


class Reader(Protocol):
    """What ``tarfile`` reads a stream from."""

    def read(self, size: int, /) -> bytes:
        """Give up to ``size`` bytes, none at the end."""


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What a layer may be at most. Far above what honest images are; the disk is protected by its own size beside."""

    entries: int = 1_000_000
    unpacked: int = 64 * 1024**3
    """Bytes."""
    ratio: int = 1000
    """Unpacked bytes for each packed one: deflate cannot do more than 1032, honest layers are below 100."""


class Bounded:
    """A stream that hashes what is read, and refuses to go beyond the limits."""

    def __init__(self, source: Reader, packed: int, limits: Limits) -> None:
        """Read from ``source``, which is ``packed`` bytes long as it lies on disk."""
        self._source = source
        self._packed = max(packed, 1)
        self._limits = limits
        self._hash = hashlib.sha256()
        self._count = 0

    def read(self, size: int, /) -> bytes:
        """Give the next bytes. Raises ``errors.Refused`` (``LayerTooLarge``, ``LayerDamaged``), ``OSError``."""
        chunk = self._source.read(size)
        self._hash.update(chunk)
        self._count += len(chunk)
        if self._count > self._limits.unpacked:
            raise errors.Refused(f"a layer unpacks to more than {self._limits.unpacked} bytes", reason="LayerTooLarge")
        if self._count > _RATIO_FROM and self._count > self._limits.ratio * self._packed:
            raise errors.Refused(
                f"a layer unpacks to more than {self._limits.ratio} times its size", reason="LayerTooLarge"
            )
        return chunk

    def digest(self) -> str:
        """Read the rest (padding behind the archive's end counts) and give the digest of all: the diff id."""
        while self.read(_CHUNK):
            pass
        return f"sha256:{self._hash.hexdigest()}"


def is_compressed(head: bytes) -> bool:
    """Tell from its first four bytes whether a file is one that ``decompressed`` unpacks."""
    return head.startswith(_GZIP) or head == _ZSTD


def decompressed(source: Reader) -> Reader:
    """Give the plain bytes of a stream: gzip, zstd and plain are told apart by how they begin, not by what is said.

    Its reads raise ``errors.Refused`` (``LayerDamaged``), and what the source raises. Nothing is read of it yet.
    """
    return _Decompressed(source)


class _Decompressed:
    """Chooses the decompressor once the first bytes are there."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._plain: Reader | None = None

    def read(self, size: int, /) -> bytes:
        try:
            if self._plain is None:
                self._plain = _chosen(_Headed(self._source))
            return self._plain.read(size)
        except _DAMAGED as error:
            raise errors.Refused(f"a layer cannot be decompressed: {error}", reason="LayerDamaged") from error


class _Headed:
    """A stream whose first bytes have been looked at."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self.head = b""
        while len(self.head) < len(_ZSTD) and (chunk := source.read(_CHUNK)):
            self.head += chunk

    def read(self, size: int, /) -> bytes:
        if not self.head:
            return self._source.read(size)
        given, self.head = self.head[:size], self.head[size:]
        return given


def _chosen(source: _Headed) -> Reader:
    if source.head.startswith(_GZIP):
        return igzip.IGzipFile(fileobj=as_file(source), mode="rb")  # type: ignore[no-untyped-call]
    if source.head.startswith(_ZSTD):
        return zstandard.ZstdDecompressor().stream_reader(as_file(source), read_across_frames=True)
    return source


def bounded(path: pathlib.Path, file: IO[bytes], limits: Limits) -> Bounded:
    """Open a layer on disk for unpacking."""
    return Bounded(decompressed(file), path.stat().st_size, limits)


def as_file(stream: Reader) -> IO[bytes]:
    """Give a stream to those that want a file, and only ever read."""
    return io.BufferedReader(_Raw(stream), _CHUNK)


class _Raw(io.RawIOBase):
    """The least of a file."""

    def __init__(self, stream: Reader) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._stream.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

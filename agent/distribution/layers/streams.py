"""Streams of a layer's bytes: decompressed, counted, hashed, and bounded."""

import bz2
import hashlib
import io
import lzma
import pathlib
import re
import zlib
from collections.abc import Callable
from typing import IO, Protocol

import zstandard
from isal import igzip, igzip_lib

from agent import errors
from agent.kit import frozen
from agent.reasons import Reason

HEAD = 10
"""Bytes at a file's beginning by which its compression is recognised."""
_PACKINGS = (
    ("gzip", re.compile(rb"\x1f\x8b")),
    ("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")),  # a frame, or a skippable one before it
    ("xz", re.compile(rb"\xfd7zXZ\x00")),
    ("bzip2", re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")),
)
_XZ_MEMORY = 256 * 1024 * 1024
"""Bytes of memory for unpacking: four times what the highest preset needs."""
_DAMAGED: tuple[type[Exception], ...] = (
    *(EOFError, ValueError, zlib.error, igzip.BadGzipFile, zstandard.ZstdError, lzma.LZMAError),
    igzip_lib.IsalError,  # type: ignore[assignment] # its stub takes the class for an instance
)
_CHUNK = 1024 * 1024


class Reader(Protocol):
    """A source of bytes that ``tarfile`` can read."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""


@frozen.value
class Limits:
    """Upper bounds of a layer, far above what honest images need."""

    entries: int = 1_000_000
    unpacked: int = 64 * 1024**3
    """Bytes."""
    ratio: int = 2000
    """Unpacked bytes for each packed one, of large layers: deflate cannot do more than 1032."""
    ratio_from: int = 8 * 1024**3
    """Unpacked bytes from which the ratio is checked: an honest file of zeros packs to next to nothing."""


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
        """Return the next bytes. Raises ``InvalidArgument`` (``LayerTooLarge``, ``LayerDamaged``), ``OSError``."""
        chunk = self._source.read(size)
        self._hash.update(chunk)
        self._count += len(chunk)
        if self._count > self._limits.unpacked:
            raise errors.InvalidArgument(
                f"a layer unpacks to more than {self._limits.unpacked} bytes",
                hint="layers.unpacked in the settings says how many it may",
                reason=Reason.LAYER_TOO_LARGE,
            )
        if self._count > self._limits.ratio_from and self._count > self._limits.ratio * self._packed:
            raise errors.InvalidArgument(
                f"a layer unpacks to more than {self._limits.ratio} times its size",
                hint="layers.ratio in the settings says how many times it may",
                reason=Reason.LAYER_TOO_LARGE,
            )
        return chunk

    def digest(self) -> str:
        """Read to the end (padding behind the archive counts) and return the digest of all: the diff id."""
        while self.read(_CHUNK):
            pass
        return f"sha256:{self._hash.hexdigest()}"


def packing(head: bytes) -> str:
    """Return the name of a file's compression, by its first bytes (``HEAD``); empty where there is none."""
    return next((name for name, magic in _PACKINGS if magic.match(head)), "")


def is_compressed(head: bytes) -> bool:
    """Return whether a file, by its first bytes, is compressed in a way that ``decompressed`` reads."""
    return bool(packing(head))


def decompressed(source: Reader) -> Reader:
    """Return the plain bytes of a stream: its first bytes, and not its media type, tell the compression.

    Its reads raise ``errors.InvalidArgument`` (``LayerDamaged``), and what the source raises. Nothing is read of it
    yet.
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
            raise errors.InvalidArgument(
                f"a layer cannot be decompressed: {error}", reason=Reason.LAYER_DAMAGED
            ) from error


class _Headed:
    """A stream whose first bytes have been looked at."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self.head = b""
        while len(self.head) < HEAD and (chunk := source.read(_CHUNK)):
            self.head += chunk

    def read(self, size: int, /) -> bytes:
        if not self.head:
            return self._source.read(size)
        chunk, self.head = self.head[:size], self.head[size:]
        return chunk


def _chosen(source: _Headed) -> Reader:
    match packing(source.head):
        case "gzip":
            return igzip.IGzipFile(fileobj=as_file(source), mode="rb")  # type: ignore[no-untyped-call]
        case "zstd":
            return zstandard.ZstdDecompressor().stream_reader(as_file(source), read_across_frames=True)
        case "xz":
            return _Frames(source, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY))
        case "bzip2":
            return _Frames(source, bz2.BZ2Decompressor)
        case _:
            return source


class _Frames:
    """The plain bytes of one or more compressed streams behind each other."""

    def __init__(self, source: Reader, begin: Callable[[], lzma.LZMADecompressor | bz2.BZ2Decompressor]) -> None:
        self._source = source
        self._begin = begin
        self._frame = begin()

    def read(self, size: int, /) -> bytes:
        while True:
            chunk = b""
            if self._frame.eof:
                chunk = self._frame.unused_data.lstrip(b"\0") or self._source.read(_CHUNK).lstrip(b"\0")
                if not chunk:
                    return b""
                self._frame = self._begin()
            elif self._frame.needs_input and not (chunk := self._source.read(_CHUNK)):
                raise EOFError("it ends in the middle")
            try:
                plain = self._frame.decompress(chunk, size)
            except OSError as error:  # bzip2 has no error of its own
                raise ValueError(str(error)) from error
            if plain:
                return plain


def bounded(path: pathlib.Path, file: IO[bytes], limits: Limits) -> Bounded:
    """Open a layer on disk for unpacking."""
    return Bounded(decompressed(file), path.stat().st_size, limits)


def as_file(stream: Reader) -> IO[bytes]:
    """Return a stream as a file object that can only be read."""
    return io.BufferedReader(_Raw(stream), _CHUNK)


class _Raw(io.RawIOBase):
    """A minimal raw file over a reader."""

    def __init__(self, stream: Reader) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._stream.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

"""The entries of a tar stream, read strictly: ustar, pax and GNU's long names; nothing guessed, all of it bounded.

The standard library's reader is made for friends: it takes a damaged header for the archive's end, remembers all
entries, believes any length of an extended header, and reads some of them in quadratic time.
"""

import dataclasses
import enum
import functools
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from agent.distribution.layers import streams

_BLOCK = 512
_CHUNK = 1024 * 1024
_LARGEST_EXTENSION = 1024 * 1024
"""Bytes of a pax header or long name, as Go's reader has it, with which registries' images are made."""
_MOST_EXTENSIONS = 16
"""Extended headers before one entry; honest archives have three at most."""
_LARGEST_ID = 2**32 - 2
_TIME = re.compile(rb"(-?)([0-9]{1,18})(?:\.([0-9]{0,18}))?")
_LATEST = 2**62
"""Nanoseconds: the year 2116."""
_XATTR = b"SCHILY.xattr."
_SPARSE = b"GNU.sparse."


class Unsound(Exception):
    """An archive that is damaged, or has what no image needs."""


class Kind(enum.Enum):
    """The kind of an archive entry."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    FIFO = "fifo"
    CHARACTER = "character"
    BLOCK = "block"


_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
    tarfile.FIFOTYPE: Kind.FIFO,
    tarfile.CHRTYPE: Kind.CHARACTER,
    tarfile.BLKTYPE: Kind.BLOCK,
}
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_GNU = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.GNUTYPE_SPARSE)
_BASE_256 = (0o200, 0o377)
"""First byte of a number that is not written in octal digits: positive, negative."""
_OCTAL = re.compile(rb"-?[0-7]+")
_EXTENSIONS = (*_PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class Entry(NamedTuple):
    """One entry, as the archive tells it: its names may point anywhere. Tuples are made soonest."""

    name: str
    kind: Kind
    link: str
    """What a link points to."""
    size: int
    """Bytes that follow; 0 for everything but files."""
    mode: int
    uid: int
    gid: int
    time: int
    """Modification time, in nanoseconds."""
    device: tuple[int, int]
    xattrs: tuple[tuple[str, bytes], ...]


@dataclasses.dataclass(slots=True)
class _Extensions:
    """Values of extended headers for the entry that follows them."""

    count: int = 0
    name: bytes = b""
    link: bytes = b""
    records: dict[bytes, bytes] = dataclasses.field(default_factory=dict)


def is_header(block: bytes) -> bool:
    """Return whether a block is the header of an entry."""
    try:
        _check(block)
    except Unsound:
        return False
    return True


class Entries:
    """All entries, once; an entry's content is read before the next one is asked for, or passed over."""

    def __init__(self, source: streams.Reader, skip: Callable[[int], object] | None = None) -> None:
        """Read from ``source``; ``skip`` passes over bytes where that can be done without reading them."""
        self._source = source
        self._skip = skip
        self._remaining = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries. Raises ``Unsound``."""
        extensions = _Extensions()
        while (block := self._header()) is not None:
            _check(block)
            type = block[156:157]
            if type in _EXTENSIONS:
                self._extend(extensions, type, _field(block, 124, 12))
                continue
            entry = _entry(block, type, extensions)
            extensions = _Extensions()
            self._remaining, self._padding = entry.size, -entry.size % _BLOCK
            yield entry
            self._pass(self._remaining)
            self._pass(self._padding)
        if extensions.count:
            raise Unsound("it ends with an extended header that belongs to nothing")

    def content(self) -> Iterator[bytes]:
        """Yield the current entry's bytes. Raises ``Unsound`` where the archive ends before them."""
        while self._remaining:
            chunk = self._some(self._remaining)
            self._remaining -= len(chunk)
            yield chunk

    def _header(self) -> bytes | None:
        """Return the next header, or ``None`` at the end: two blocks of zeros, or where there is nothing more."""
        block = self._block()
        if block.count(0) < _BLOCK:
            return block or None
        if self._block().count(0) not in {0, _BLOCK}:
            raise Unsound("something follows its end")
        return None

    def _block(self) -> bytes:
        block = b""
        while len(block) < _BLOCK and (chunk := self._source.read(_BLOCK - len(block))):
            block += chunk
        if 0 < len(block) < _BLOCK:
            raise Unsound("it ends in the middle of a header")
        return block

    def _extend(self, extensions: _Extensions, type: bytes, size: int) -> None:
        extensions.count += 1
        if extensions.count > _MOST_EXTENSIONS or not 0 <= size <= _LARGEST_EXTENSION:
            raise Unsound("an extended header is too large, or there are too many")
        data = bytearray()
        while len(data) < size:
            data += self._some(size - len(data))
        self._pass(-size % _BLOCK)
        if type in _PAX:
            extensions.records.update(_records(bytes(data)))
        elif type == tarfile.GNUTYPE_LONGNAME:
            extensions.name = bytes(data).partition(b"\0")[0]
        elif type == tarfile.GNUTYPE_LONGLINK:
            extensions.link = bytes(data).partition(b"\0")[0]
        else:  # a global header: commit ids and the like; other engines pass it over as well
            extensions.count -= 1

    def _some(self, size: int) -> bytes:
        chunk = self._source.read(min(size, _CHUNK))
        if not chunk:
            raise Unsound("it ends in the middle of an entry")
        return chunk

    def _pass(self, size: int) -> None:
        if not size:
            return
        if self._skip is not None:
            self._skip(size)
            return
        while size:
            size -= len(self._some(size))


def _check(block: bytes) -> None:
    """Compare a header with its checksum, the sum of its bytes with blanks in place of the sum itself."""
    declared = _parsed_number(block[148:156])
    # the lower half of Adler-32 is one more than the sum of the bytes, modulo a prime that half a block's never reach
    total = (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:]) & 0xFFFF) - 2
    unsigned = total - sum(block[148:156]) + 8 * 32
    if declared == unsigned:
        return
    if declared != unsigned - 256 * sum(byte > 127 for byte in block[:148] + block[156:]):  # noqa: PLR2004 - as signed bytes: old tars of some systems
        raise Unsound("a header is damaged: its checksum is wrong")


def _names(block: bytes, type: bytes) -> tuple[bytes, str]:
    """Return an entry's type and name."""
    name = _string(block[:100])
    if type not in _GNU and block[345]:
        name = f"{_string(block[345:500])}/{name}"
    if type == tarfile.AREGTYPE and name.endswith("/"):  # how V7 has a directory
        type = tarfile.DIRTYPE
    return type, name.rstrip("/") if type == tarfile.DIRTYPE else name


def _string(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _field(block: bytes, at: int, length: int) -> int:
    """Read a number: octal digits, or GNU's base 256 behind a marked first byte."""
    return _parsed_number(block[at : at + length])


@functools.lru_cache(maxsize=4096)
def _parsed_number(field: bytes) -> int:
    """Read a field; modes, owners and times are the same few in all of a layer."""
    if field[0] in _BASE_256:
        number = int.from_bytes(field[1:], "big")
        return number if field[0] == _BASE_256[0] else number - 256 ** (len(field) - 1)
    digits = field.partition(b"\0")[0].strip()
    if digits.isdigit() and b"8" not in digits and b"9" not in digits:
        return int(digits, 8)
    if not digits:
        return 0
    if not _OCTAL.fullmatch(digits):
        raise Unsound("a header is damaged: a number in it is none")
    return int(digits, 8)


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Split a pax header: ``length key=value`` and a newline, the length including itself."""
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 8)
        length = data[at:space] if space > at else b""
        end = at + int(length) if length.isdigit() else 0
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or end > len(data) or data[end - 1 : end] != b"\n":
            raise Unsound("a pax header is damaged")
        yield key, value
        at = end


def _entry(block: bytes, type: bytes, extensions: _Extensions) -> Entry:
    """Read a header block, V7's, ustar's or GNU's. ``tarfile`` reads the same, and takes four times as long for it."""
    records = extensions.records
    if type == tarfile.GNUTYPE_SPARSE or (records and any(key.startswith(_SPARSE) for key in records)):
        raise Unsound("it has a sparse file, which image layers must not have")
    type, name = _names(block, type)
    if type not in _KINDS:
        raise Unsound("it has an entry of unknown type")
    kind = _KINDS[type]
    size = _number(records, b"size", _field(block, 124, 12), 2**62)
    device = (0, 0)
    if kind is Kind.CHARACTER or kind is Kind.BLOCK:
        device = (_field(block, 329, 8), _field(block, 337, 8))
    if not (0 <= device[0] < 2**12 and 0 <= device[1] < 2**20):
        raise Unsound("a device has a number that no device has")
    return Entry(
        name=_text(records.get(b"path") or extensions.name) or name,
        kind=kind,
        link=_text(records.get(b"linkpath") or extensions.link) or _string(block[157:257]),
        size=size if kind is Kind.FILE else 0,
        mode=_field(block, 100, 8) & 0o7777,
        uid=_number(records, b"uid", _field(block, 108, 8), _LARGEST_ID),
        gid=_number(records, b"gid", _field(block, 116, 8), _LARGEST_ID),
        time=min(max(_time(records.get(b"mtime"), _field(block, 136, 12)), 0), _LATEST),
        device=device,
        xattrs=_xattrs(records) if records else (),
    )


def _xattrs(records: dict[bytes, bytes]) -> tuple[tuple[str, bytes], ...]:
    return tuple((_text(key[len(_XATTR) :]), value) for key, value in records.items() if key.startswith(_XATTR))


def _text(name: bytes) -> str:
    if b"\0" in name:
        raise Unsound("a name has a NUL byte")
    return name.decode("utf-8", "surrogateescape")


def _number(records: dict[bytes, bytes], key: bytes, value: int, most: int) -> int:
    text = records.get(key)
    if text:
        if not text.isdigit() or len(text) > len(str(most)):
            raise Unsound(f"{key.decode()} is no number in range")
        value = int(text)
    if not 0 <= value <= most:
        raise Unsound(f"{key.decode()} is no number in range")
    return value


def _time(text: bytes | None, seconds: int) -> int:
    if not text:
        return seconds * 10**9
    match = _TIME.fullmatch(text)
    if match is None:
        raise Unsound("mtime is no time")
    nanoseconds = int(match[2]) * 10**9 + int((match[3] or b"")[:9].ljust(9, b"0"))
    return -nanoseconds if match[1] else nanoseconds

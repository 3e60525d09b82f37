"""Headers of tar entries, written quickly: nearly all entries of a layer need nothing that ustar does not have.

The standard library makes each in a tenth of a millisecond, which for a layer of ten thousand files is a second.
"""

import tarfile

BLOCK = 512
_NAME, _PREFIX, _LINK = 100, 155, 100
"""Bytes that the fields have."""
_LARGEST_ID = 8**7 - 1
_LARGEST_SIZE = 8**11 - 1
_MAGIC = b"ustar\x0000"


def header(entry: tarfile.TarInfo) -> bytes:
    """Return an entry's header, with extended ones in front where it needs them."""
    if not entry.pax_headers and (quick := _ustar(entry)) is not None:
        return quick
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _ustar(entry: tarfile.TarInfo) -> bytes | None:
    """Return the header; ``None`` where a field has no room for what it has to hold."""
    name = entry.name.encode("utf-8", "surrogateescape")
    if entry.isdir() and not name.endswith(b"/"):
        name += b"/"
    link = entry.linkname.encode("utf-8", "surrogateescape")
    prefix, name = _divided(name)
    numbers = (entry.mode, entry.uid, entry.gid, entry.devmajor, entry.devminor)
    is_small = all(0 <= number <= _LARGEST_ID for number in numbers) and 0 <= entry.mtime <= _LARGEST_SIZE
    is_plain = name.isascii() and prefix.isascii() and link.isascii()  # what is no ASCII is written as Unicode
    if not (name and is_plain and is_small and entry.size <= _LARGEST_SIZE and len(link) <= _LINK):
        return None
    block = b"%-100b%07o\0%07o\0%07o\0%011o\0%011o\0        %b%b%b%b%b%07o\0%07o\0%b" % (
        name.ljust(_NAME, b"\0"),
        *(entry.mode & 0o7777, entry.uid, entry.gid, entry.size, int(entry.mtime), entry.type),
        *(link.ljust(_LINK, b"\0"), _MAGIC, bytes(32), bytes(32)),
        *(entry.devmajor, entry.devminor, prefix.ljust(_PREFIX, b"\0")),
    )
    block = block.ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _divided(name: bytes) -> tuple[bytes, bytes]:
    """Return prefix and name as their fields take them; an empty name where they do not."""
    if len(name) <= _NAME:
        return b"", name
    end = name.rfind(b"/", 0, _PREFIX + 1)
    if end <= 0 or len(name) - end - 1 > _NAME or end == len(name) - 1:
        return b"", b""
    return name[:end], name[end + 1 :]

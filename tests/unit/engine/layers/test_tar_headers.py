"""Headers of tar entries: what the standard library reads of them is what was to be written."""

import io
import tarfile

import pytest

from agent.engine.layers import tar_headers


def entry(name: str, **fields: object) -> tarfile.TarInfo:
    own = tarfile.TarInfo(name)
    for field, value in {"mode": 0o640, "uid": 5, "gid": 6, "mtime": 1_000_000_000, **fields}.items():
        setattr(own, field, value)
    return own


ENTRIES = [
    entry("a", size=3),
    entry("d", type=tarfile.DIRTYPE, mode=0o2755),
    entry("."),
    entry("x" * 100),
    entry("x" * 101),
    entry("/".join(["d" * 20] * 9), type=tarfile.DIRTYPE),
    entry("/".join(["d" * 20] * 9)),
    entry("d" * 90 + "/" + "n" * 120),
    entry("/".join(["d" * 50] * 8)),
    entry("link", type=tarfile.SYMTYPE, linkname="y" * 100),
    entry("long", type=tarfile.SYMTYPE, linkname="y" * 101),
    entry("hard", type=tarfile.LNKTYPE, linkname="a"),
    entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    entry("fifo", type=tarfile.FIFOTYPE),
    entry("ä"),
    entry("\udcff"),
    entry("to-unicode", type=tarfile.SYMTYPE, linkname="ä"),
    entry("big", size=8**11),
    entry("large", size=8**11 - 1),
    entry("owner", uid=8**7),
    entry("most", uid=8**7 - 1, gid=8**7 - 1),
    entry("early", mtime=-5),
    entry("late", mtime=8**11),
    entry("modes", mode=0o7777),
    entry("noted", pax_headers={"SCHILY.xattr.user.note": "x"}),
]


@pytest.mark.parametrize("own", ENTRIES, ids=lambda own: own.name[:20])
def test_header__read_by_the_standard_library__is_the_entry(own: tarfile.TarInfo) -> None:
    data = tar_headers.header(own)
    assert len(data) % tar_headers.BLOCK == 0
    read = _read(data)
    fields = ("name", "mode", "uid", "gid", "size", "mtime", "type", "linkname", "devmajor", "devminor")
    assert {field: getattr(read, field) for field in fields} == {field: getattr(own, field) for field in fields}
    assert read.pax_headers.get("SCHILY.xattr.user.note") == own.pax_headers.get("SCHILY.xattr.user.note")


def _read(data: bytes) -> tarfile.TarInfo:
    with tarfile.open(
        fileobj=io.BytesIO(data + bytes(tar_headers.BLOCK * 20)), encoding="utf-8", errors="surrogateescape"
    ) as archive:
        first = archive.next()
        assert first is not None
        return first


@pytest.mark.parametrize("own", [entry("a", size=3), entry("d/e", type=tarfile.DIRTYPE), entry("x" * 100)])
def test_header__plain_entry__is_one_block_with_a_checksum(own: tarfile.TarInfo) -> None:
    data = tar_headers.header(own)
    assert len(data) == tar_headers.BLOCK
    assert int(data[148:154], 8) == sum(data[:148] + b" " * 8 + data[156:])

"""The tar reader: what archives of all kinds say is understood, and what is unsound is told as such, at once."""

import io
import tarfile

import hypothesis
import pytest
from hypothesis import strategies

from agent.distribution.layers import entries
from tests import archives

END = bytes(1024)


def _all(data: bytes) -> list[tuple[entries.Entry, bytes]]:
    reader = entries.Entries(io.BytesIO(data))
    return [(entry, b"".join(reader.content())) for entry in reader]


def _info(name: str = "f", **fields: object) -> tarfile.TarInfo:
    return archives.file(name, **fields)[0]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_entries__each_kind_in_each_format__is_what_was_written(form: int) -> None:
    data = archives.tar(
        archives.folder("d/", mode=0o1777, uid=3, gid=4),
        archives.file("d/f", b"content", mode=0o4755, uid=1000, gid=2000),
        archives.symlink("d/s", "../f"),
        archives.hardlink("d/h", "d/f"),
        archives.special("d/p", tarfile.FIFOTYPE),
        archives.device("d/c", 5, 1),
        archives.device("d/b", 8, 0, tarfile.BLKTYPE),
        form=form,
    )
    rows = [
        (entry.kind.value, entry.name, entry.link, entry.mode, entry.uid, entry.device, body)
        for entry, body in _all(data)
    ]
    assert rows == [
        ("directory", "d", "", 0o1777, 3, (0, 0), b""),
        ("file", "d/f", "", 0o4755, 1000, (0, 0), b"content"),
        ("symlink", "d/s", "../f", 0o644, 0, (0, 0), b""),
        ("hardlink", "d/h", "d/f", 0o644, 0, (0, 0), b""),
        ("fifo", "d/p", "", 0o644, 0, (0, 0), b""),
        ("character", "d/c", "", 0o644, 0, (5, 1), b""),
        ("block", "d/b", "", 0o644, 0, (8, 0), b""),
    ]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["long/" * 60 + "f", "ü/ж", "bytes\udcff"])
def test_entries__long_and_strange_names__are_kept(form: int, name: str) -> None:
    ((entry, body),) = _all(archives.tar(archives.file(name, b"x"), form=form))
    assert (entry.name, body) == (name, b"x")
    ((link, _),) = _all(archives.tar(archives.symlink("l", name), form=form))
    assert link.link == name


def test_entries__pax_header__overrides_and_is_forgotten_after_its_entry() -> None:
    pax = b"".join(
        archives.record(key, value)
        for key, value in {
            "path": b"told",
            "uid": b"4000000000",
            "mtime": b"1600000000.123456789",
            "size": b"3",
            "SCHILY.xattr.user.x": b"a\0\xff=\n",
            "comment": b"",
        }.items()
    )
    data = archives.raw(_info("unsaid"), b"abc", size=0, pax=pax) + archives.raw(_info("next"), b"") + END
    (first, body), (second, _) = _all(data)
    assert (first.name, first.uid, first.time, body) == ("told", 4_000_000_000, 1_600_000_000_123_456_789, b"abc")
    assert first.xattrs == (("user.x", b"a\0\xff=\n"),)
    assert (second.name, second.uid, second.xattrs) == ("next", 0, ())


def test_entries__global_header__is_passed_over() -> None:
    data = tarfile.TarInfo.create_pax_global_header({"comment": "c0ffee", "path": "everything"})
    assert [entry.name for entry, _ in _all(data + archives.tar(archives.file("f")))] == ["f"]


def test_entries__content_not_read__is_passed_over() -> None:
    data = archives.tar(archives.file("a", b"x" * 5000), archives.file("b", b"y"))
    assert [entry.name for entry in entries.Entries(io.BytesIO(data))] == ["a", "b"]


def test_entries__no_end_marker__ends_where_the_stream_ends() -> None:
    assert [entry.name for entry, _ in _all(archives.raw(_info("f"), b"x"))] == ["f"]
    assert _all(b"") == []


@pytest.mark.parametrize(("text", "time"), [(b"-7.5", 0), (b"9" * 18, 2**62), (b"7", 7 * 10**9), (b"7.", 7 * 10**9)])
def test_entries__times_of_any_age__are_within_what_disks_keep(text: bytes, time: int) -> None:
    ((entry, _),) = _all(archives.raw(_info(), pax=archives.record("mtime", text)) + END)
    assert entry.time == time


@pytest.mark.parametrize(
    "pax",
    [
        archives.record("mtime", b"nan"),
        archives.record("mtime", b"1e9"),
        archives.record("uid", b"4294967295"),
        archives.record("uid", b"-1"),
        archives.record("gid", b"9" * 5000),
        archives.record("size", b"-1024"),
        archives.record("size", b"9" * 19),
        archives.record("path", b"a\0b"),
        archives.record("linkpath", b"a\0b"),
        archives.record("SCHILY.xattr.user.\0", b""),
        archives.record("GNU.sparse.size", b"9" * 18),
        archives.record("GNU.sparse.map", b"x"),
        archives.record("GNU.sparse.major", b"1") + archives.record("GNU.sparse.minor", b"0"),
        b"0 path=x\n",
        b"5 path=x\n",
        b"999 path=x\n",
        b"99999999999999999999 path=x\n",
        b"10 path=xy",
        b"path=x\n",
        b"7 path\n",
        b"-9 path=x\n",
    ],
)
def test_entries__senseless_pax_header__is_unsound(pax: bytes) -> None:
    with pytest.raises(entries.Unsound):
        _all(archives.raw(_info(), pax=pax) + END)


@pytest.mark.parametrize(
    "changes",
    [{"uid": 2**40}, {"gid": -2}, {"type": b"Z"}, {"type": tarfile.GNUTYPE_SPARSE}, {"type": b"D"}, {"type": b"V"}],
)
def test_entries__what_no_layer_has__is_unsound(changes: dict[str, object]) -> None:
    with pytest.raises(entries.Unsound):
        _all(archives.raw(_info(**changes)) + END)


@pytest.mark.parametrize("size", [-512, 2**63, 10_000])
def test_entries__size_that_lies__is_unsound(size: int) -> None:
    with pytest.raises(entries.Unsound):
        _all(archives.raw(_info(), b"abc", size=size) + END)


@pytest.mark.parametrize("device", [(2**12, 0), (0, 2**20), (-1, 0)])
def test_entries__device_number_out_of_range__is_unsound(device: tuple[int, int]) -> None:
    info = _info(type=tarfile.CHRTYPE, devmajor=device[0], devminor=device[1])
    with pytest.raises(entries.Unsound):
        _all(archives.raw(info) + END)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("size", [1024 * 1024 + 1, 2**40, -512])
def test_entries__extended_header_of_a_wrong_size__is_unsound_before_it_is_read(kind: bytes, size: int) -> None:
    with pytest.raises(entries.Unsound, match="extended header"):
        _all(archives.raw(_info(type=kind), b"", size=size) + bytes(4096))


def test_entries__extended_headers_without_end__are_unsound() -> None:
    chain = archives.raw(_info(type=tarfile.GNUTYPE_LONGNAME), b"x\0") * 5000
    with pytest.raises(entries.Unsound, match="too many"):
        _all(chain + archives.raw(_info()) + END)


def test_entries__extended_header_at_the_end__is_unsound() -> None:
    with pytest.raises(entries.Unsound, match="belongs to nothing"):
        _all(archives.raw(_info(type=tarfile.GNUTYPE_LONGNAME), b"x\0") + END)


def test_entries__header_made_to_keep_a_reader_busy__is_read_in_no_time() -> None:
    digits = archives.record("comment", b"1" * (1024 * 1024 - 30))
    assert [entry.name for entry, _ in _all(archives.raw(_info(), pax=digits) + END)] == ["f"]


def test_entries__damaged_header_in_the_middle__is_not_taken_for_the_end() -> None:
    data = bytearray(archives.tar(archives.file("a", b"x"), archives.file("b", b"y")))
    data[1024 + 150] ^= 1  # the second header's checksum
    with pytest.raises(entries.Unsound, match="header is damaged"):
        _all(bytes(data))


@pytest.mark.parametrize("at", [148, 100, 124, 156])
def test_entries__file_that_is_no_archive__is_not_quoted(at: int) -> None:
    block = bytearray(archives.raw(_info("a"))[:512])
    block[at : at + 7] = b"ZQXJKVW"
    if at != 148:  # with the checksum that it would have
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(entries.Unsound) as raised:
        _all(bytes(block) + END)
    assert "Z" not in str(raised.value)


def test_entries__something_behind_the_first_block_of_zeros__is_unsound() -> None:
    hidden = archives.raw(_info("a")) + bytes(512) + archives.raw(_info("b")) + END
    with pytest.raises(entries.Unsound, match="follows its end"):
        _all(hidden)


def test_entries__cut_anywhere__is_unsound_or_has_less() -> None:
    data = archives.tar(archives.file("a", b"x" * 700), archives.file("n" * 200, b"y"))
    whole = len(_all(data))
    for cut in range(1, 512 * 8, 73):
        try:
            assert len(_all(data[:cut])) <= whole
        except entries.Unsound:
            continue


FUZZED = archives.tar(
    archives.file("n" * 200, b"y" * 600, pax_headers={"SCHILY.xattr.user.x": "y", "mtime": "1.5"}),
    archives.symlink("s", "t" * 200),
)


@hypothesis.given(strategies.lists(strategies.tuples(strategies.integers(0, 4607), strategies.binary(min_size=1))))
def test_entries__bytes_changed_anywhere__are_entries_or_unsound_and_nothing_else(changes) -> None:
    broken = bytearray(FUZZED)
    for position, data in changes:
        broken[position : position + len(data)] = data
    try:
        entries_read = _all(bytes(broken))
    except entries.Unsound:
        return
    assert all(isinstance(entry.kind, entries.Kind) and len(body) == entry.size for entry, body in entries_read)

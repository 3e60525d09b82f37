"""Hostile layers, unpacked for real: contained or refused, and nothing outside of the snapshot is ever written."""

import contextlib
import gzip
import io
import os
import pathlib
import stat
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterator

import pytest

from agent import errors
from agent.distribution.layers import streams
from agent.engine.layers import unpack, worker
from tests import archives

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("canary")]

UP = "../" * 12


@pytest.fixture(params=["in a thread", "in a process of its own"])
async def store(
    tmp_path: pathlib.Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[archives.Store]:
    if request.param != "in a thread":
        monkeypatch.setattr(worker, "PROCESS_THRESHOLD", 0)
    async with archives.opened(tmp_path) as opened:
        yield opened


@pytest.fixture
def canary(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A tree beside the store, which looks the same afterwards."""
    top = tmp_path / "canary"
    (top / "etc").mkdir(parents=True)
    (top / "etc/passwd").write_text("root")
    (top / "link").symlink_to("etc")
    before = archives.tree(top)
    yield top
    assert archives.tree(top) == before


async def _names(store: archives.Store, *members: archives.Member) -> list[str]:
    """Unpack entries and name all that is there."""
    open_before = archives.descriptors()
    entries = archives.tree(await store.unpacked(archives.tar(*members)))
    assert archives.descriptors() == open_before
    return sorted(entries.keys() - {"."})


async def _refused(store: archives.Store, layer: bytes) -> str:
    """Unpack a layer that must be refused, assert that nothing of it remains, and return the reason."""
    open_before = archives.descriptors()
    with pytest.raises(errors.InvalidArgument) as caught:
        await store.unpacked(layer)
    assert store.leftovers() == []
    assert archives.descriptors() == open_before
    return caught.value.reason


async def test_names__dots_and_slashes__end_at_the_top(store, canary) -> None:
    names = await _names(
        store,
        archives.file(f"{UP}{canary}/etc/passwd", b"x"),
        archives.file("/absolute", b"x"),
        archives.file("a/../../b", b"x"),
        archives.folder(".."),
        archives.folder("./c/./d//"),
    )
    inside = str(canary / "etc/passwd").lstrip("/").split("/")
    parents = {"/".join(inside[:count]) for count in range(1, len(inside) + 1)}
    assert set(names) == parents | {"absolute", "b", "c", "c/d"}


@pytest.mark.parametrize("form", ["{canary}", "{up}{canary}", "/.{canary}/link/../etc"])
async def test_symlinked_parent__leading_out__is_followed_inside_only(store, canary, form: str) -> None:
    target = form.format(canary=canary, up=UP)
    inner = str(canary).lstrip("/")
    members = [archives.folder(f"{inner}/etc"), archives.folder(f"{inner}/link"), archives.symlink("l", target)]
    top = await store.unpacked(
        archives.tar(
            *members, archives.file("l/new", b"x"), archives.folder("l/etc", 0o777), archives.file("l/.wh.gone")
        )
    )
    created = [str(path.relative_to(top)) for path in top.rglob("new")]
    assert len(created) == 1
    assert created[0].startswith(inner)
    assert (top / "l").readlink() == pathlib.Path(target)


async def test_symlinks__chained__cannot_lead_out_together(store, canary) -> None:
    chain = [archives.symlink(f"l{number}", f"l{number + 1}/..") for number in range(8)]
    chain = [*chain, archives.symlink("l8", "/"), archives.symlink("x", f"l0/{UP}")]
    top = await store.unpacked(archives.tar(*chain, archives.file(f"x{canary}/etc/passwd", b"mine")))
    assert (top / str(canary / "etc/passwd").lstrip("/")).read_bytes() == b"mine"


async def test_symlink__in_place_of_a_directory_in_use__is_what_counts_from_then_on(store) -> None:
    names = await _names(
        store,
        archives.folder("d"),
        archives.file("d/before", b"x"),
        archives.folder("real"),
        archives.symlink("d", "real"),
        archives.file("d/after", b"x"),
    )
    assert names == ["d", "real", "real/after"]


async def test_directory__in_place_of_a_link_to_itself__is_what_counts_from_then_on(store) -> None:
    names = await _names(
        store,
        archives.folder("a"),
        archives.symlink("a/s", "."),
        archives.file("a/s/one"),
        archives.folder("a/s/s"),
        archives.file("a/s/two"),
    )
    assert names == ["a", "a/one", "a/s", "a/s/two"]


async def test_last_component__a_link__is_replaced_and_never_written_through(store, canary) -> None:
    top = await store.unpacked(
        archives.tar(
            archives.symlink("f", str(canary / "etc/passwd")),
            archives.file("f", b"mine", mode=0o777, uid=7),
            archives.symlink("d", str(canary)),
            archives.folder("d", 0o777, uid=7),
            archives.symlink("w", str(canary)),
            archives.file(".wh.w"),
            archives.symlink("p", str(canary)),
            archives.special("p", tarfile.FIFOTYPE),
        )
    )
    assert (top / "f").read_bytes() == b"mine"
    assert stat.S_ISDIR((top / "d").lstat().st_mode)
    assert stat.S_ISFIFO((top / "p").lstat().st_mode)


@pytest.mark.parametrize(
    "target", ["{canary}/etc/passwd", "{up}{canary}/etc/passwd", "l/etc/passwd", "", "nothing", "d"]
)
async def test_hardlink__out_or_to_nothing_or_to_a_directory__is_refused(store, canary, target: str) -> None:
    link_target = target.format(canary=canary, up=UP)
    layer = archives.tar(archives.symlink("l", str(canary)), archives.folder("d"), archives.hardlink("h", link_target))
    assert await _refused(store, layer) == "LayerRefused"


async def test_hardlink__to_a_link__is_the_link_itself(store, canary) -> None:
    target = str(canary / "etc/passwd")
    top = await store.unpacked(archives.tar(archives.symlink("l", target), archives.hardlink("h", "l")))
    assert str((top / "h").readlink()) == target
    assert (top / "h").lstat().st_nlink == 2


async def test_hardlink__replaced_afterwards__leaves_the_other_name_alone(store) -> None:
    top = await store.unpacked(
        archives.tar(archives.file("a", b"one"), archives.hardlink("b", "a"), archives.file("b", b"two", mode=0o600))
    )
    assert ((top / "a").read_bytes(), (top / "b").read_bytes()) == (b"one", b"two")


@pytest.mark.parametrize(
    "members",
    [
        [archives.device("null", 0, 0)],
        [archives.file(".wh.a"), archives.hardlink("b", "a")],
        [archives.file(".wh..")],
        [archives.file(".wh...")],
        [archives.file(".wh.")],
        [archives.file("f", b"x"), archives.file("f/below", b"x")],
        [archives.symlink("l", "l"), archives.file("l/below")],
        [archives.symlink("l", "missing/dir"), archives.file("l/below")],
        [archives.symlink("empty", "")],
        [archives.symlink("long", "x" * 5000)],
        [archives.file("n" * 256)],
        [archives.file("d/" * 3000 + "f")],
        [archives.file("/".join(["n" * 250] * 20))],
        [archives.file("/".join(["d"] * 300))],
        [archives.file(".")],
        [archives.symlink("..", "/")],
        [archives.special("socket", b"s")],
        [archives.file("f", pax_headers={"SCHILY.xattr.user." + "x" * 300: "y"})],
    ],
    ids=lambda members: members[-1][0].name[:12] + f" {len(members)}",
)
async def test_entry__that_must_not_or_cannot_be__is_refused_and_nothing_left(store, members) -> None:
    assert await _refused(store, archives.tar(*members)) in {"LayerRefused", "LayerDamaged"}


async def test_links__that_lead_ever_deeper__are_refused(store) -> None:
    members = [archives.file("a/" * 200 + "f"), archives.symlink("l", "a/" * 199)]
    assert await _refused(store, archives.tar(*members, archives.file("l/" + "b/" * 200 + "f"))) == "LayerRefused"


async def test_devices__are_made_as_they_are(store) -> None:
    top = await store.unpacked(archives.tar(archives.device("d", 1, 3), archives.device("b", 8, 0, tarfile.BLKTYPE)))
    assert ((top / "d").lstat().st_rdev, (top / "b").lstat().st_rdev) == (os.makedev(1, 3), os.makedev(8, 0))


async def test_entries__one_name_often__the_last_one_stays(store) -> None:
    members = [archives.file("n", b"1"), archives.folder("n"), archives.file("n/in"), archives.symlink("n", "x")]
    assert await _names(store, *members, archives.file("n", b"5")) == ["n"]


async def test_digest__other_than_the_config_says__is_refused(store) -> None:
    layer = archives.tar(archives.file("f", b"x"))
    with pytest.raises(errors.InvalidArgument) as caught:
        await store.unpacked(layer, archives.digest(b"other"))
    assert (caught.value.reason, store.leftovers()) == ("DigestMismatch", [])


async def test_layer__hidden_bytes_behind_its_end__change_its_digest(store) -> None:
    layer = archives.tar(archives.file("f", b"x"))
    with pytest.raises(errors.InvalidArgument) as caught:
        await store.unpacked(layer + b"hidden", archives.digest(layer))
    assert (caught.value.reason, store.leftovers()) == ("DigestMismatch", [])


@pytest.mark.parametrize("cut", [1, 300, 512, 700, 1024 + 512, 2048 + 100])
async def test_layer__truncated__is_refused(store, cut: int) -> None:
    layer = archives.tar(archives.file("a", b"x" * 600), archives.file("b", b"y" * 600))
    with pytest.raises(errors.InvalidArgument):
        await store.unpacked(layer[:cut], archives.digest(layer))
    assert store.leftovers() == []


@pytest.mark.parametrize(
    "data", [b"", b"not a tar " * 100, b"\x1f\x8b", b"\x1f\x8b\x08" + b"x" * 600, b"\x28\xb5\x2f\xfd123"]
)
async def test_layer__no_archive_at_all__is_refused(store, data: bytes) -> None:
    with pytest.raises(errors.InvalidArgument):
        await store.unpacked(data, archives.digest(b"something"))
    assert store.leftovers() == []


async def test_layer__too_many_entries__is_refused_also_when_they_are_only_implied(store, tmp_path) -> None:
    limits = streams.Limits(entries=10)
    for members in ([archives.file(f"f{n}") for n in range(11)], [archives.file("a/b/c/d/e/f/g/h/i/j/k")]):
        layer = archives.tar(*members)
        target = tmp_path / "target"
        target.mkdir(exist_ok=True)
        stream = streams.Bounded(io.BytesIO(layer), len(layer), limits)
        with pytest.raises(errors.InvalidArgument) as caught:
            unpack.unpack(store.snapshots._kernel, stream, target, limits)
        assert caught.value.reason == "LayerTooLarge"


async def test_layer__bomb__is_refused_and_takes_no_room(store, monkeypatch) -> None:
    monkeypatch.setattr(store.snapshots, "_limits", streams.Limits(ratio=1000, ratio_from=64 * 1024 * 1024))
    packer = io.BytesIO()
    with gzip.open(packer, "wb", compresslevel=9) as file:
        info = archives.file("zeros")[0]
        info.size = 100 * 1024 * 1024
        file.write(info.tobuf())
        for _ in range(100):
            file.write(bytes(1024 * 1024))
    assert await _refused(store, packer.getvalue()) == "LayerTooLarge"


async def test_sparse_file__larger_than_any_disk__is_refused_before_anything_is_written(store) -> None:
    pax = archives.record("GNU.sparse.map", b"0,0") + archives.record("GNU.sparse.size", b"4611686018427387904")
    assert await _refused(store, archives.raw(archives.file("f")[0], pax=pax) + bytes(1024)) == "LayerDamaged"


async def test_disk_full__is_unavailable_and_nothing_is_left(store) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", store.where.snapshots], check=True)
    try:
        layer = archives.tar(archives.file("f", b"x" * (1024 * 1024 + 400 * 1024)))
        with pytest.raises(errors.Unavailable) as caught:
            await store.unpacked(layer)
        assert (caught.value.reason, store.leftovers()) == ("DiskFull", [])
    finally:
        subprocess.run(["umount", store.where.snapshots], check=True)


async def test_xattr__larger_than_the_file_system_keeps__is_said_so_and_not_that_the_disk_is_full(store) -> None:
    probe = store.where.root / "probe"
    probe.touch()
    with contextlib.suppress(OSError):
        os.setxattr(probe, "user.large", b"x" * 10_240)
        pytest.skip("this file system keeps as much")
    layer = archives.tar(archives.file("f", pax_headers={"SCHILY.xattr.user.large": "x" * 10_240}))
    with pytest.raises(errors.InvalidArgument, match="extended attributes of 10250 bytes at 'f'") as caught:
        await store.unpacked(layer)
    assert (caught.value.reason, store.leftovers()) == ("LayerRefused", [])

"""Image archives that lie, are damaged, or want too much: refused with nothing half made and no file left open."""

import gzip
import json
import os
import pathlib
import subprocess
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.oci import mediatypes
from tests import archives

pytestmark = pytest.mark.root

LAYER = archives.tar(archives.folder("d"), archives.file("d/f", b"first"))
SECOND = archives.tar(archives.file("g", b"second"))
NAME = "localhost/test:latest"


@pytest.fixture
async def store(tmp_path: pathlib.Path) -> AsyncIterator[archives.Store]:
    async with archives.opened(tmp_path) as opened:
        yield opened


async def _refused(store: archives.Store, path: pathlib.Path) -> errors.Failure:
    """Assert that an archive is refused without leftovers, records or open files; return the error."""
    before = archives.descriptors()
    with pytest.raises((errors.InvalidArgument, errors.NotFound)) as caught:
        await store.load(path)
    assert (store.leftovers(), store.images.list()) == ([], ())
    assert archives.descriptors() == before
    return caught.value


def _with_wrong_blob(layout: archives.Layout) -> None:
    name = f"blobs/sha256/{archives.digest(LAYER)[7:]}"
    layout.files[name] = LAYER[:-1] + b"!"


def _with_truncated_blob(layout: archives.Layout) -> None:
    name = f"blobs/sha256/{archives.digest(LAYER)[7:]}"
    layout.files[name] = LAYER[:-100]


def _without_blob(layout: archives.Layout) -> None:
    del layout.files[f"blobs/sha256/{archives.digest(LAYER)[7:]}"]


def _with_wrong_diff_id(layout: archives.Layout) -> None:
    config = layout.blob(archives.config(SECOND), mediatypes.CONFIG)
    layout.index(layout.image(config, [layout.blob(LAYER, mediatypes.LAYER)]))


def _with_fewer_diff_ids(layout: archives.Layout) -> None:
    config = layout.blob(archives.config(), mediatypes.CONFIG)
    layout.index(layout.image(config, [layout.blob(LAYER, mediatypes.LAYER)]))


def _with_ten_thousand_layers(layout: archives.Layout) -> None:
    config = layout.blob(archives.config(*[LAYER] * 10_000), mediatypes.CONFIG)
    layout.index(layout.image(config, [layout.blob(LAYER, mediatypes.LAYER)] * 10_000))


def _with_nested_indexes(layout: archives.Layout) -> None:
    """Each index names the next one a thousand times; followed blindly, that is a thousand to the power of twenty."""
    inner = layout.image(layout.blob(archives.config(LAYER), mediatypes.CONFIG), [layout.blob(LAYER, mediatypes.LAYER)])
    for level in range(20):
        index = {"schemaVersion": 2, "manifests": [inner] * 1000, "annotations": {"level": str(level)}}
        inner = layout.document(index, mediatypes.MANIFEST)
    layout.index(inner)


def _with_many_images(layout: archives.Layout) -> None:
    layer = layout.blob(LAYER, mediatypes.LAYER)
    configs = [layout.blob(archives.config(LAYER, author=author), mediatypes.CONFIG) for author in "ab"]
    layout.index(*(layout.image(config, [layer]) for config in configs))


def _with_huge_index(layout: archives.Layout) -> None:
    layout.files["index.json"] = b'{"manifests":[' + b" " * 5_000_000 + b"]}"


def _with_huge_manifest(layout: archives.Layout) -> None:
    layout.index(layout.blob(b" " * 5_000_000 + b"{}", mediatypes.MANIFEST))


def _with_huge_config(layout: archives.Layout) -> None:
    config = layout.blob(archives.config(LAYER) + b" " * 5_000_000, mediatypes.CONFIG)
    layout.index(layout.image(config, [layout.blob(LAYER, mediatypes.LAYER)]))


def _with_config_of_a_layer_s_size(layout: archives.Layout) -> None:
    config = layout.blob(archives.config(LAYER) + b" " * 5_000_000, mediatypes.CONFIG)
    layer = layout.blob(LAYER, mediatypes.LAYER)
    layout.index(layout.image({**config, "size": 10}, [{**config, "mediaType": mediatypes.LAYER}, layer]))


def _with_deep_json(layout: archives.Layout) -> None:
    layout.files["index.json"] = b'{"a":' * 100_000


def _with_paths_for_digests(layout: archives.Layout) -> None:
    layout.index({"mediaType": mediatypes.MANIFEST, "digest": "sha256:../../../../etc/passwd", "size": 1})


def _with_unknown_layers(layout: archives.Layout) -> None:
    config = layout.blob(archives.config(LAYER), mediatypes.CONFIG)
    layout.index(layout.image(config, [layout.blob(LAYER, "application/vnd.in-toto+json")]))


def _with_image_that_is_also_an_index(layout: archives.Layout) -> None:
    layout.index(layout.document({"manifests": [], "layers": [], "config": {}}, mediatypes.MANIFEST))


def _without_index(layout: archives.Layout) -> None:
    del layout.files["index.json"]


@pytest.mark.parametrize("form", ["archive", "directory"])
@pytest.mark.parametrize(
    "spoil",
    [
        _with_wrong_blob,
        _with_truncated_blob,
        _without_blob,
        _with_wrong_diff_id,
        _with_fewer_diff_ids,
        _with_ten_thousand_layers,
        _with_nested_indexes,
        _with_many_images,
        _with_huge_index,
        _with_huge_manifest,
        _with_huge_config,
        _with_config_of_a_layer_s_size,
        _with_deep_json,
        _with_paths_for_digests,
        _with_unknown_layers,
        _with_image_that_is_also_an_index,
        _without_index,
    ],
    ids=lambda spoil: spoil.__name__.removeprefix("_"),
)
async def test_load__layout_that_is_wrong__is_refused_and_nothing_half_made(store, tmp_path, spoil, form: str) -> None:
    layout = archives.image(LAYER)
    spoil(layout)
    path = tmp_path / "image"
    if form == "archive":
        path.write_bytes(layout.archive())
    else:
        layout.directory(path)
    assert isinstance(await _refused(store, path), errors.InvalidArgument)


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "layer\0.tar", "x" * 5000, "\udcff", "loop", "out", "manifest.json/x", ""],
)
@pytest.mark.parametrize("field", ["Config", "Layers"])
@pytest.mark.parametrize("form", ["archive", "directory"])
async def test_load__docker_archive_that_names_what_is_not_in_it__is_refused(
    store, tmp_path, name: str, field: str, form: str
) -> None:
    files = archives.docker(LAYER, **{field: [name] if field == "Layers" else name})
    path = tmp_path / "image"
    if form == "archive":
        links = (archives.symlink("loop", "loop"), archives.symlink("out", "/etc/passwd"))
        archives.write_archive(path, files, *links)
    else:
        archives.Layout(files).directory(path)
        (path / "loop").symlink_to("loop")
        (path / "out").symlink_to("/etc/passwd")
    assert (await _refused(store, path)).reason == "ArchiveDamaged"


async def test_load__docker_archive_of_ten_thousand_layers__is_refused_before_any_is_read(store, tmp_path) -> None:
    path = archives.write_archive(tmp_path / "image", archives.docker(LAYER, Layers=["0/layer.tar"] * 10_000))
    assert "more than 500 layers" in str(await _refused(store, path))
    assert len(store.content.digests()) <= 1


async def test_load__docker_archive_of_several_images__is_refused(store, tmp_path) -> None:
    files = archives.docker(LAYER)
    (first,) = json.loads(files["manifest.json"])
    files["other.json"] = archives.config(LAYER, author="another")
    files["manifest.json"] = json.dumps([first, {**first, "Config": "other.json", "RepoTags": ["other:1"]}]).encode()
    assert "2 images" in str(await _refused(store, archives.write_archive(tmp_path / "image", files)))


async def test_load__archive_of_countless_files__is_refused(store, tmp_path) -> None:
    member = archives.raw(archives.file("f")[0])
    (tmp_path / "image").write_bytes(member * 50_001 + bytes(1024))
    assert "more than 50000 files" in str(await _refused(store, tmp_path / "image"))


@pytest.mark.parametrize("size", [-1024, -512, 2**62])
async def test_load__archive_whose_sizes_lead_back_or_far_on__is_refused(store, tmp_path, size: int) -> None:
    member = archives.raw(archives.file("oci-layout")[0], pax=archives.record("size", str(size).encode()))
    (tmp_path / "image").write_bytes(member + bytes(1024))
    assert (await _refused(store, tmp_path / "image")).reason == "ArchiveDamaged"


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"\x1f\x8b\x08" + bytes(600), b"\x28\xb5\x2f\xfd12", bytes(1024), archives.tar(archives.file("f"))],
)
async def test_load__no_archive__is_refused(store, tmp_path, data: bytes) -> None:
    (tmp_path / "image").write_bytes(data)
    assert isinstance(await _refused(store, tmp_path / "image"), errors.InvalidArgument)


async def test_load__archive_cut_anywhere__is_refused(store, tmp_path) -> None:
    whole = archives.image(LAYER).archive()
    for cut in range(0, len(whole.rstrip(b"\0")), 1500):
        (tmp_path / "image").write_bytes(whole[:cut])
        assert isinstance(await _refused(store, tmp_path / "image"), errors.InvalidArgument)


async def test_load__pipe_in_place_of_an_archive__is_refused_and_not_waited_for(store, tmp_path) -> None:
    os.mkfifo(tmp_path / "image")
    assert (await _refused(store, tmp_path / "image")).reason == "ArchiveDamaged"


@pytest.mark.parametrize("name", ["missing", "file/below"])
async def test_load__nothing_there__not_found(store, tmp_path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert (await _refused(store, tmp_path / name)).reason == "ArchiveNotFound"


async def test_load__failed__leaves_the_image_of_before_as_it_is(store, tmp_path) -> None:
    path = tmp_path / "image"
    path.write_bytes(archives.image(LAYER).archive())
    before = await store.load(path)
    spoilt = archives.image(LAYER, SECOND)
    spoilt.files[f"blobs/sha256/{archives.digest(SECOND)[7:]}"] = b"!" * len(SECOND)
    path.write_bytes(spoilt.archive())
    with pytest.raises(errors.InvalidArgument):
        await store.load(path)
    assert store.images.runnable(NAME) == before


async def test_load__compressed_archive_and_no_room_for_it__is_unavailable(store, tmp_path) -> None:
    (tmp_path / "image").write_bytes(
        gzip.compress(archives.image(archives.tar(archives.file("f", bytes(10**6)))).archive())
    )
    ingest = store.where.content / "ingest"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", ingest], check=True)
    try:
        with pytest.raises(errors.Unavailable) as caught:
            await store.load(tmp_path / "image")
        assert (caught.value.reason, store.leftovers()) == ("DiskFull", [])
    finally:
        subprocess.run(["umount", ingest], check=True)

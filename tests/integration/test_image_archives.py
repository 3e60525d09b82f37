"""Image archives of every form that people have, loaded for real; and those that lie, refused with nothing left."""

import gzip
import json
import pathlib
import subprocess
from collections.abc import AsyncIterator

import pytest

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


def _skopeo(*words: object) -> str:
    command = ["skopeo", "--insecure-policy", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def _contents(store: archives.Store, path: pathlib.Path) -> dict[str, bytes]:
    """Load an archive and give the files of its layers, by layer from the lowest."""
    stored = await store.load(path)
    contents = {
        str(file.relative_to(lower)): file.read_bytes()
        for lower in reversed(stored.lower_dirs)
        for file in sorted(lower.rglob("*"))
        if file.is_file()
    }
    assert store.leftovers() == []
    return contents


@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd", "xz", "bzip2"])
@pytest.mark.parametrize("form", archives.FORMS)
async def test_load__oci_layout_in_each_form__is_ready(store, tmp_path, kind: str, form: str) -> None:
    path = archives.stored(tmp_path / "image", archives.image(LAYER, SECOND, kind=kind), form)
    assert await _contents(store, path) == {"d/f": b"first", "g": b"second"}
    assert [record.reference for record in store.images.list()] == [NAME]


@pytest.mark.engine
@pytest.mark.parametrize("compressed", [False, True])
async def test_load__docker_archive_made_by_skopeo__is_the_same_image(store, tmp_path, compressed: bool) -> None:
    source = tmp_path / "oci.tar"
    source.write_bytes(archives.image(LAYER, SECOND, kind="gzip").archive())
    converted = tmp_path / "docker.tar"
    _skopeo("copy", "--quiet", f"oci-archive:{source}", f"docker-archive:{converted}:test:latest")
    if compressed:
        converted.write_bytes(gzip.compress(converted.read_bytes()))
    assert await _contents(store, converted) == {"d/f": b"first", "g": b"second"}
    from_docker = store.images.runnable(NAME)
    await store.load(source)
    assert store.images.runnable(NAME).config == from_docker.config


async def test_load__old_docker_archive_with_linked_layers__is_ready(store, tmp_path) -> None:
    files = archives.docker(LAYER, SECOND, LAYER, names=["a/layer.tar", "b/layer.tar", "c/layer.tar"])
    del files["c/layer.tar"]
    extra = [
        archives.folder("c"),
        archives.symlink("c/layer.tar", "../a/layer.tar"),
        archives.file("c/VERSION", b"1.0"),
    ]
    path = archives.write_archive(tmp_path / "image.tar", files, *extra)
    assert await _contents(store, path) == {"d/f": b"first", "g": b"second"}


async def test_load__names_that_begin_with_a_dot__are_the_same_names(store, tmp_path) -> None:
    files = {f"./{name}": data for name, data in archives.image(LAYER).files.items()}
    assert await _contents(store, archives.write_archive(tmp_path / "image.tar", files)) == {"d/f": b"first"}


async def test_load__index_of_platforms__takes_ours_and_needs_no_other(store, tmp_path) -> None:
    layout = archives.Layout()
    ours = json.loads(archives.config(LAYER))
    here = {"os": ours["os"], "architecture": ours["architecture"]}
    mine = layout.image(
        layout.blob(archives.config(LAYER), mediatypes.CONFIG), [layout.blob(LAYER, mediatypes.LAYER)], platform=here
    )
    absent = {**mine, "digest": archives.digest(b"elsewhere"), "platform": {"os": "linux", "architecture": "pdp11"}}
    layout.index(layout.document({"schemaVersion": 2, "manifests": [absent, mine]}, mediatypes.INDEX))
    (tmp_path / "image.tar").write_bytes(layout.archive())
    assert await _contents(store, tmp_path / "image.tar") == {"d/f": b"first"}


@pytest.mark.engine
async def test_store__with_images__is_a_layout_that_skopeo_reads(store, tmp_path) -> None:
    (tmp_path / "image.tar").write_bytes(archives.image(LAYER, SECOND, kind="gzip").archive())
    await store.load(tmp_path / "image.tar")
    inspected = json.loads(_skopeo("inspect", f"oci:{store.where.content}:{NAME}"))
    assert (inspected["Os"], len(inspected["Layers"])) == ("linux", 2)
    _skopeo("copy", "--quiet", f"oci:{store.where.content}:{NAME}", f"dir:{tmp_path}/copied")
    packed = archives.packed(LAYER, "gzip")[0]
    assert (tmp_path / "copied" / archives.digest(packed)[7:]).read_bytes() == packed


async def test_load__again_under_the_same_name__replaces_and_the_old_content_is_collected(store, tmp_path) -> None:
    for layer in (LAYER, SECOND):
        (tmp_path / "image.tar").write_bytes(archives.image(layer).archive())
        await store.load(tmp_path / "image.tar")
    await store.images.collector.sweep()
    assert store.images.leftovers() == ()
    assert len(store.content.digests()) == 3
    await store.images.remove(NAME)
    assert (store.content.digests(), list(store.where.snapshots.iterdir())) == (frozenset(), [])


async def test_load__another_image_has_lost_its_manifest__is_there_all_the_same(store, tmp_path) -> None:
    (tmp_path / "image.tar").write_bytes(archives.image(LAYER).archive())
    await store.load(tmp_path / "image.tar", "localhost/lost:1")
    store.content.path(archives.digest(store.images.manifest("localhost/lost:1"))).unlink()
    (tmp_path / "image.tar").write_bytes(archives.image(SECOND).archive())
    await store.load(tmp_path / "image.tar")
    (named,) = json.loads((store.where.content / "index.json").read_text())["manifests"]
    assert named["annotations"]["org.opencontainers.image.ref.name"] == NAME


async def test_store__somebody_deletes_a_manifest__the_image_is_missing_and_loaded_again(store, tmp_path) -> None:
    (tmp_path / "image.tar").write_bytes(archives.image(LAYER).archive())
    stored = await store.load(tmp_path / "image.tar")
    store.content.path(stored.id).unlink()
    await store.images.collector.sweep()
    assert store.images.list() == ()
    assert (await store.load(tmp_path / "image.tar")).id == stored.id

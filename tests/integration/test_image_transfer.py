"""Images saved, loaded and imported by the native engine: read by other tools, the same bytes each time, safe."""

import asyncio
import bz2
import gzip
import io
import json
import lzma
import pathlib
import subprocess
import tarfile
import threading
from collections.abc import AsyncIterator, Callable

import pytest
import zstandard

from agent import errors
from agent.distribution.registry import client
from agent.engine.images import transfer
from agent.oci import archives as oci_archives
from agent.oci import mediatypes, reference
from tests import archives

pytestmark = pytest.mark.root

LAYER = archives.tar(archives.folder("d"), archives.file("d/f", b"first"))
SECOND = archives.tar(archives.file("g", b"second"))
ONE, TWO, THREE = "localhost/one:1", "localhost/team/two:2", "docker.io/library/three:latest"
OCI, DOCKER = oci_archives.ArchiveFormat.OCI, oci_archives.ArchiveFormat.DOCKER
FORMATS = pytest.mark.parametrize("form", [OCI, DOCKER])


@pytest.fixture
async def store(tmp_path: pathlib.Path) -> AsyncIterator[archives.Store]:
    async with archives.opened(tmp_path / "room") as opened:
        yield opened


@pytest.fixture
async def ship(store) -> AsyncIterator[transfer.Transfer]:
    async with client.RegistryClient() as registry:
        yield transfer.Transfer(store.images, store.content, registry)


@pytest.fixture
async def full(store, ship, tmp_path) -> transfer.Transfer:
    """Of a store with two images that share a layer, one of them with two names."""
    for name, layers in ((ONE, (LAYER,)), (TWO, (LAYER, SECOND))):
        path = archives.stored(tmp_path / name.replace("/", "-"), archives.image(*layers, kind="gzip"), "archive")
        await store.load(path, name)
    ship.tag(TWO, THREE)
    return ship


async def _saved(
    ship: transfer.Transfer, path: pathlib.Path, form: oci_archives.ArchiveFormat, *names: str
) -> pathlib.Path:
    with path.open("wb") as out:
        await ship.save(names, form, out, lambda _: None)
    return path


async def _imported(ship: transfer.Transfer, path: pathlib.Path, data: bytes, **fields: object) -> str:
    path.write_bytes(data)
    root = oci_archives.RootImage(**fields)
    return (await ship.import_root(path, ONE, root, 1_600_000_000.5, lambda _: None)).id


def _skopeo(*words: object) -> str:
    done = subprocess.run(
        ["skopeo", "--insecure-policy", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _ids(store: archives.Store) -> dict[str, str]:
    return {image.reference: image.id for image in store.images.list()}


@FORMATS
async def test_save__the_same_images__is_the_same_to_the_byte(full, tmp_path, form: oci_archives.ArchiveFormat) -> None:
    first = await _saved(full, tmp_path / "first", form, ONE, TWO, THREE)
    second = await _saved(full, tmp_path / "second", form, ONE, TWO, THREE)
    assert first.read_bytes() == second.read_bytes()


@FORMATS
async def test_save__has_each_layer_once(full, tmp_path, form: oci_archives.ArchiveFormat) -> None:
    with tarfile.open(await _saved(full, tmp_path / "all.tar", form, ONE, TWO, THREE)) as tar:
        names = tar.getnames()
        sizes = {len(tar.extractfile(name).read()) for name in names}
    assert len(set(names)) == len(names)
    packed = [len(archives.packed(layer, "gzip")[0]) for layer in (LAYER, SECOND)]
    assert set(packed if form is OCI else [len(LAYER), len(SECOND)]) <= sizes


@FORMATS
async def test_save_and_load__elsewhere__are_the_same_images_by_the_same_names(
    store, full, tmp_path, form: oci_archives.ArchiveFormat
) -> None:
    path = await _saved(full, tmp_path / "all.tar", form, ONE, TWO, THREE)
    async with archives.opened(tmp_path / "elsewhere") as other, client.RegistryClient() as registry:
        loaded = await transfer.Transfer(other.images, other.content, registry).load(path, "", lambda _: None)
        assert [record.reference for record in loaded] == [ONE, TWO, THREE]
        assert _ids(other) == _ids(store)
        assert [record.labels for record in loaded] == [(), (), ()]
        assert (loaded[1].lower_dirs[-1] / "d/f").read_bytes() == b"first"
        assert other.leftovers() == []


@pytest.mark.engine
@pytest.mark.parametrize(("form", "transport"), [(OCI, "oci-archive"), (DOCKER, "docker-archive")])
async def test_save__is_read_by_skopeo_by_name(
    full, tmp_path, form: oci_archives.ArchiveFormat, transport: str
) -> None:
    path = await _saved(full, tmp_path / "all.tar", form, ONE, TWO, THREE)
    for name, layers in ((ONE, 1), (TWO, 2), (THREE, 2)):
        assert len(json.loads(_skopeo("inspect", f"{transport}:{path}:{name}"))["Layers"]) == layers
    _skopeo("copy", "--quiet", f"{transport}:{path}:{TWO}", f"dir:{tmp_path}/copied")


@pytest.mark.engine
@FORMATS
async def test_save__is_loaded_by_docker_and_what_it_saves_by_us(
    store, full, tmp_path, docker_engine, form: oci_archives.ArchiveFormat
) -> None:
    path = await _saved(full, tmp_path / "all.tar", form, ONE, TWO, THREE)
    docker = ["docker", "-H", docker_engine.url]
    subprocess.run([*docker, "load", "--input", path], check=True, capture_output=True)
    names = [ONE, TWO, "three:latest"]
    assert {name: docker_engine.call("GET", f"images/{name}/json")["Id"] for name in names} == {
        name.removeprefix("docker.io/library/"): identity for name, identity in _ids(store).items()
    }
    subprocess.run([*docker, "save", "--output", tmp_path / "theirs.tar", *names], check=True, capture_output=True)
    subprocess.run([*docker, "rmi", *names], check=True, capture_output=True)
    async with archives.opened(tmp_path / "elsewhere") as other, client.RegistryClient() as registry:
        await transfer.Transfer(other.images, other.content, registry).load(tmp_path / "theirs.tar", "", lambda _: None)
        assert _ids(other) == _ids(store)


@FORMATS
async def test_save__a_blob_is_gone__is_not_found(store, full, tmp_path, form: oci_archives.ArchiveFormat) -> None:
    store.content.path(archives.digest(archives.packed(SECOND, "gzip")[0])).unlink()
    with pytest.raises(errors.NotFound) as caught:
        await _saved(full, tmp_path / "all.tar", form, ONE, TWO)
    assert caught.value.reason == "ContentMissing"


async def test_save__given_up__lets_go_of_what_it_writes_to(full) -> None:
    class Stuck:
        """A reader that does not read on."""

        def __init__(self) -> None:
            self.reached, self.free, self.writes = threading.Event(), threading.Event(), 0

        def write(self, _: bytes) -> None:
            self.writes += 1
            self.reached.set()
            assert self.free.wait(10)

    stuck = Stuck()
    saving_it = asyncio.get_running_loop().create_task(full.save((ONE, TWO), OCI, stuck, lambda _: None))
    assert await asyncio.to_thread(stuck.reached.wait, 10)
    saving_it.cancel()
    await asyncio.sleep(0)
    stuck.free.set()
    with pytest.raises(asyncio.CancelledError):
        await saving_it
    assert stuck.writes == 1


async def test_load__names_with_digests_and_bare_tags__are_no_names(ship, tmp_path) -> None:
    layout = archives.Layout()
    manifest = layout.image(
        layout.blob(archives.config(LAYER), mediatypes.CONFIG), [layout.blob(LAYER, mediatypes.LAYER)]
    )

    def called(name: str) -> dict[str, object]:
        return {**manifest, "annotations": {"org.opencontainers.image.ref.name": name}}

    layout.index(called("latest"), called(f"nginx@{archives.digest(b'real')}"), called("shop/web:1"))
    path = archives.stored(tmp_path / "image", layout, "archive")
    assert [record.reference for record in await ship.load(path, "", lambda _: None)] == ["docker.io/shop/web:1"]
    layout.index(called("latest"))
    path = archives.stored(tmp_path / "nameless", layout, "archive")
    with pytest.raises(errors.InvalidArgument) as caught:
        await ship.load(path, "", lambda _: None)
    assert (caught.value.reason, caught.value.hint) == ("ImageNameless", "load it under a name: --as REFERENCE")
    assert (await ship.load(path, ONE, lambda _: None),)[0][0].reference == ONE


async def test_load__several_images_under_one_name__is_refused(full, tmp_path) -> None:
    path = await _saved(full, tmp_path / "all.tar", OCI, ONE, TWO)
    with pytest.raises(errors.InvalidArgument, match="has 2 images, and must have one"):
        await full.load(path, THREE, lambda _: None)


async def test_tag__with_a_digest__is_refused(full) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        full.tag(ONE, f"localhost/pinned@{archives.digest(b'other')}")
    assert caught.value.reason == "BadReference"


@pytest.mark.usefixtures("full")
async def test_collect__keeps_what_has_a_name_and_forgets_where_the_rest_was(store) -> None:
    shared, second = (archives.digest(archives.packed(layer, "gzip")[0]) for layer in (LAYER, SECOND))
    store.images.sources.note([shared, second], reference.parse("registry.example/base:1"))
    await store.images.remove(TWO)
    assert second in store.content.digests()
    await store.images.remove(THREE)
    assert (shared in store.content.digests(), second in store.content.digests()) == (True, False)
    assert store.images.sources.of(shared, "registry.example") == ("base",)
    assert store.images.sources.of(second, "registry.example") == ()
    assert store.images.leftovers() == ()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": zstandard.compress,
    "xz": lzma.compress,
    "xz in two streams": lambda data: lzma.compress(data[:1000]) + bytes(4) + lzma.compress(data[1000:]),
    "bzip2": bz2.compress,
}


@pytest.mark.parametrize("kind", PACKED)
async def test_import__compressed_in_each_way__is_an_image_of_one_layer(store, ship, tmp_path, kind: str) -> None:
    fields = {"command": ("/bin/x", "-y"), "env": (("A", "b"),), "user": "1:2", "labels": (("l", "m"),)}
    identity = await _imported(ship, tmp_path / "root", PACKED[kind](LAYER), **fields)
    stored = store.images.runnable(ONE)
    assert (stored.lower_dirs[0] / "d/f").read_bytes() == b"first"
    assert stored.config.diff_ids == (archives.digest(LAYER),)
    config = json.loads(store.content.read(identity))
    assert config["created"] == "2020-09-13T12:26:40Z"
    assert config["config"] == {"Cmd": ["/bin/x", "-y"], "Env": ["A=b"], "User": "1:2", "Labels": {"l": "m"}}
    layer = json.loads(store.images.manifest(ONE))["layers"][0]
    assert layer["mediaType"] == (mediatypes.LAYER_ZSTD if kind == "zstd" else mediatypes.LAYER_GZIP)
    assert store.leftovers() == []


async def test_import__twice__is_the_same_image(ship, tmp_path) -> None:
    first = await _imported(ship, tmp_path / "root", LAYER)
    assert await _imported(ship, tmp_path / "root", LAYER) == first


HOSTILE = {
    "hard link out of it": archives.tar(archives.hardlink("passwd", "../../etc/passwd")),
    "forged whiteout": archives.tar(archives.device("x", 0, 0)),
    "no tar": b"this is no tar" * 100,
    "ends in the middle": LAYER[:700],
    "damaged xz": lzma.compress(LAYER)[:-20],
    "damaged bzip2": bz2.compress(LAYER)[:60],
    "damaged gzip": gzip.compress(LAYER)[:60],
    "large window": lzma.compress(LAYER, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1024**3}]),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_import__hostile_or_damaged__is_refused_and_nothing_of_it_is_an_image(
    store, ship, tmp_path, what: str
) -> None:
    with pytest.raises(errors.InvalidArgument):
        await _imported(ship, tmp_path / "root", HOSTILE[what])
    assert (store.images.list(), store.leftovers()) == ((), [])


async def test_import__names_that_lead_out_of_it__stay_inside(store, ship, tmp_path) -> None:
    out = f"{'../' * 20}{tmp_path}/evil"
    data = archives.tar(archives.file(out, b"x"), archives.symlink("d", str(tmp_path)), archives.file("d/evil", b"x"))
    await _imported(ship, tmp_path / "root", data)
    top = store.images.runnable(ONE).lower_dirs[0]
    assert (top / str(tmp_path / "evil").lstrip("/")).read_bytes() == b"x"
    assert not (tmp_path / "evil").exists()


async def test_import__a_directory__is_refused(ship, tmp_path) -> None:
    with pytest.raises(errors.InvalidArgument, match="is no file"):
        await ship.import_root(tmp_path, ONE, oci_archives.RootImage(), 0, lambda _: None)


async def test_save__progress__ends_with_all_of_it(full) -> None:
    progress = []
    out = io.BytesIO()
    await full.save((ONE, TWO), OCI, out, progress.append)
    await asyncio.sleep(0)
    assert progress[-1].done == progress[-1].total == len(out.getvalue())

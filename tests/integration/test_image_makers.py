"""Archives and layouts as each program writes them, by the facts of its layout; what is installed here is run."""

import io
import json
import pathlib
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable

import pytest

from agent import errors
from agent.distribution.archives import archive, docker_archive
from agent.oci import mediatypes
from tests import archives

pytestmark = pytest.mark.root

LAYER = archives.tar(archives.folder("d"), archives.file("d/f", b"first"))
SECOND = archives.tar(archives.file("g", b"second"))
CONTENTS = {"d/f": b"first", "g": b"second"}
CONFIG = archives.config(LAYER, SECOND)
CONFIG_HEX = archives.digest(CONFIG)[7:]
FIRST_HEX, SECOND_HEX = archives.digest(LAYER)[7:], archives.digest(SECOND)[7:]


@pytest.fixture
async def store(tmp_path: pathlib.Path) -> AsyncIterator[archives.Store]:
    async with archives.opened(tmp_path) as opened:
        yield opened


async def _contents(store: archives.Store, path: pathlib.Path, name: str = "localhost/test:latest") -> dict[str, bytes]:
    stored = await store.load(path, name)
    return {
        str(file.relative_to(lower)): file.read_bytes()
        for lower in reversed(stored.lower_dirs)
        for file in sorted(lower.rglob("*"))
        if file.is_file()
    }


def _listed(config: str, *layers: str) -> archives.Member:
    manifests = [{"Config": config, "RepoTags": ["shop/web:1"], "Layers": layers}]
    return archives.file("manifest.json", json.dumps(manifests).encode())


def _docker_20(pack: Callable[[bytes], bytes]) -> bytes:
    """``docker save`` up to 24: a folder a layer, with ``json`` and ``VERSION``, and links to what is there already."""
    del pack
    folders = [
        (archives.folder(name), archives.file(f"{name}/VERSION", b"1.0"), archives.file(f"{name}/json", b"{}"))
        for name in ("1" * 64, "2" * 64)
    ]
    return archives.tar(
        *folders[0],
        archives.file(f"{'1' * 64}/layer.tar", LAYER),
        *folders[1],
        archives.file(f"{'2' * 64}/layer.tar", SECOND),
        archives.file(f"{CONFIG_HEX}.json", CONFIG),
        _listed(f"{CONFIG_HEX}.json", f"{'1' * 64}/layer.tar", f"{'2' * 64}/layer.tar"),
        archives.file("repositories", json.dumps({"shop/web": {"1": "2" * 64}}).encode()),
    )


def _docker_25(pack: Callable[[bytes], bytes]) -> bytes:
    """``docker save`` from 25 on: a layout whose index has names, with ``manifest.json`` beside it."""
    del pack
    layout = archives.image(LAYER, SECOND)
    (top,) = json.loads(layout.files["index.json"])["manifests"]
    layout.index({**top, "annotations": {archive.NAME_ANNOTATION: "docker.io/shop/web:1", archive.REF_ANNOTATION: "1"}})
    blobs = [f"blobs/sha256/{hexdigest}" for hexdigest in (FIRST_HEX, SECOND_HEX)]
    files = [archives.file(name, data) for name, data in layout.files.items()]
    listed = _listed(f"blobs/sha256/{CONFIG_HEX}", *blobs)
    return archives.tar(archives.folder("blobs"), archives.folder("blobs/sha256"), *files, listed)


def _kaniko(pack: Callable[[bytes], bytes]) -> bytes:
    """Kaniko's ``--tar-path``, ko's and crane's tarballs: names are digests, and layers are compressed."""
    members = [(f"{archives.digest(pack(layer))[7:]}.tar.gz", pack(layer)) for layer in (LAYER, SECOND)]
    listed = _listed(f"sha256:{CONFIG_HEX}", *(name for name, _ in members))
    files = [archives.file(name, data) for name, data in members]
    return archives.tar(archives.file(f"sha256:{CONFIG_HEX}", CONFIG), *files, listed)


def _jib(pack: Callable[[bytes], bytes]) -> bytes:
    """Jib's ``buildTar``: layers first, then ``config.json``."""
    members = [(f"{archives.digest(layer)[7:]}.tar.gz", pack(layer)) for layer in (LAYER, SECOND)]
    files = [archives.file(name, data) for name, data in members]
    listed = _listed("config.json", *(name for name, _ in members))
    return archives.tar(*files, archives.file("config.json", CONFIG), listed)


def _nix(pack: Callable[[bytes], bytes]) -> bytes:
    """Nix's ``dockerTools``: everything below ``./``, plain layers, and the whole of it compressed."""
    members = [
        archives.folder("./"),
        archives.folder("./1"),
        archives.file("./1/layer.tar", LAYER),
        archives.folder("./2"),
        archives.file("./2/layer.tar", SECOND),
        archives.file(f"./{CONFIG_HEX}.json", CONFIG),
    ]
    manifests = [{"Config": f"{CONFIG_HEX}.json", "RepoTags": ["shop/web:1"], "Layers": ["1/layer.tar", "2/layer.tar"]}]
    return pack(archives.tar(*members, archives.file("./manifest.json", json.dumps(manifests).encode())))


def _bazel(pack: Callable[[bytes], bytes]) -> bytes:
    """Bazel's ``rules_docker``: a folder a layer with links, also of links, to files at the top, and hard links."""
    del pack
    return archives.tar(
        archives.file(f"{FIRST_HEX}.tar", LAYER),
        archives.symlink("a/layer.tar", f"../{FIRST_HEX}.tar"),
        archives.symlink("b/layer.tar", "../a/layer.tar"),
        archives.file("real", SECOND),
        archives.hardlink("c/layer.tar", "real"),
        archives.symlink("d/layer.tar", "/c/layer.tar"),
        archives.file("config", CONFIG),
        archives.hardlink(f"{CONFIG_HEX}.json", "config"),
        _listed(f"{CONFIG_HEX}.json", "b/layer.tar", "d/layer.tar"),
    )


@pytest.mark.parametrize("packing", archives.PACKERS)
@pytest.mark.parametrize(
    "maker", [_docker_20, _docker_25, _kaniko, _jib, _nix, _bazel], ids=lambda maker: maker.__name__.strip("_")
)
async def test_load__an_archive_as_it_is_made__is_the_image(store, tmp_path, maker, packing: str) -> None:
    pack = archives.PACKERS[packing]
    plain = maker(pack)
    whole = plain if maker is _nix else pack(plain)
    (tmp_path / "image").write_bytes(whole)
    assert await _contents(store, tmp_path / "image") == CONTENTS
    (image_read,) = archive.read_all(tmp_path / "image", store.content)
    assert image_read.names == ("docker.io/shop/web:1",)
    with (tmp_path / "for-docker").open("wb") as out:
        docker_archive.convert(tmp_path / "image", "docker.io/shop/web:1", out, tmp_path)
    with tarfile.open(tmp_path / "for-docker") as converted:
        (manifests,) = json.load(converted.extractfile("manifest.json") or io.BytesIO())
        layers_converted = [converted.extractfile(name) for name in manifests["Layers"]]
        assert [file.read() for file in layers_converted if file] == [LAYER, SECOND]


async def test_load__one_image_with_two_tags__is_one_image(store, tmp_path) -> None:
    layout = archives.image(LAYER, SECOND)
    (top,) = json.loads(layout.files["index.json"])["manifests"]
    layout.index(*({**top, "annotations": {archive.REF_ANNOTATION: f"localhost/app:{tag}"}} for tag in (1, 2)))
    (tmp_path / "image").write_bytes(layout.archive())
    assert await _contents(store, tmp_path / "image") == CONTENTS
    (image_read,) = archive.read_all(tmp_path / "image", store.content)
    assert image_read.names == ("localhost/app:1", "localhost/app:2")


def _of_platform(layout: archives.Layout, architecture: str, layer: bytes, *, with_platform: bool) -> dict[str, object]:
    config = layout.blob(archives.config(layer, architecture=architecture), mediatypes.CONFIG)
    fields = {"platform": {"os": "linux", "architecture": architecture}} if with_platform else {}
    return layout.image(config, [layout.blob(layer, mediatypes.LAYER)], **fields)


@pytest.mark.parametrize("with_platform", [True, False])
@pytest.mark.parametrize("named", [True, False])
async def test_load__platforms_directly_under_one_name__takes_ours(
    store, tmp_path, *, with_platform: bool, named: bool
) -> None:
    here = json.loads(archives.config())["architecture"]
    for order in (("pdp11", here), (here, "pdp11")):
        layout = archives.Layout()
        images = [
            _of_platform(layout, architecture, LAYER if architecture == here else SECOND, with_platform=with_platform)
            for architecture in order
        ]
        names = {"annotations": {archive.NAME_ANNOTATION: "docker.io/shop/web:1"}} if named else {}
        layout.index(*({**image, **names} for image in images))
        (tmp_path / "image").write_bytes(layout.archive())
        assert await _contents(store, tmp_path / "image") == {"d/f": b"first"}
        assert len(archive.read_all(tmp_path / "image", store.content)) == 1


async def test_load__platforms_of_which_none_is_ours__says_which_there_are(store, tmp_path) -> None:
    layout = archives.Layout()
    layout.index(*(_of_platform(layout, architecture, LAYER, with_platform=True) for architecture in ("pdp11", "vax")))
    (tmp_path / "image").write_bytes(layout.archive())
    with pytest.raises(errors.NotFound) as caught:
        await store.load(tmp_path / "image")
    assert (caught.value.reason, caught.value.hint) == ("PlatformNotFound", "it is made for linux/pdp11, linux/vax")


async def test_load__two_images_that_have_only_tags__is_the_one_of_that_tag(store, tmp_path) -> None:
    layout = archives.Layout()
    tops = []
    for tag, layer in (("1", LAYER), ("2", SECOND)):
        config = layout.blob(archives.config(layer), mediatypes.CONFIG)
        image = layout.image(config, [layout.blob(layer, mediatypes.LAYER)])
        tops.append({**image, "annotations": {archive.REF_ANNOTATION: tag}})
    layout.index(*tops)
    path = layout.directory(tmp_path / "image")
    assert await _contents(store, path, "localhost/app:2") == {"g": b"second"}
    assert await _contents(store, path, "localhost/app:1") == {"d/f": b"first"}
    with pytest.raises(errors.InvalidArgument, match="has 2 images") as caught:
        await store.load(path, "localhost/app:3")
    assert caught.value.hint == "save one image; it has 1, 2"
    with pytest.raises(errors.InvalidArgument) as nameless:
        archive.named(archive.read_all(path, store.content))
    assert "--as REPOSITORY:TAG" in nameless.value.hint


@pytest.mark.parametrize("kind", ["nondistributable.v1.tar", "nondistributable.v1.tar+gzip"])
async def test_load__layers_that_may_not_be_distributed__are_layers(store, tmp_path, kind: str) -> None:
    layout = archives.Layout()
    described = [layout.blob(layer, f"application/vnd.oci.image.layer.{kind}") for layer in (LAYER, SECOND)]
    layout.index(layout.image(layout.blob(CONFIG, mediatypes.CONFIG), described))
    (tmp_path / "image").write_bytes(layout.archive())
    assert await _contents(store, tmp_path / "image") == CONTENTS


@pytest.mark.parametrize("links", [["a", "a"], ["b", "a"], ["/../../etc/passwd"], [".."], [""]])
async def test_load__links_that_lead_nowhere__are_refused(store, tmp_path, links: list[str]) -> None:
    members = [archives.symlink(name, target) for name, target in zip("ab", links, strict=False)]
    listed = _listed("config", "a")
    (tmp_path / "image").write_bytes(archives.tar(*members, archives.file("config", archives.config(LAYER)), listed))
    with pytest.raises(errors.InvalidArgument):
        await store.load(tmp_path / "image")


def _run(*words: object) -> None:
    subprocess.run(list(map(str, words)), check=True, capture_output=True)


@pytest.mark.engine
@pytest.mark.parametrize("packing", ["gzip", "zstd"])
@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive"])
async def test_load__made_by_skopeo__is_the_image(store, tmp_path, form: str, packing: str) -> None:
    source, target = tmp_path / "source", tmp_path / "made"
    source.write_bytes(archives.image(LAYER, SECOND).archive())
    words = [f"--dest-compress-format={packing}", "--dest-compress"] if form == "oci" else []
    _run("skopeo", "--insecure-policy", "copy", "-q", *words, f"oci-archive:{source}", f"{form}:{target}:shop/web:1")
    assert await _contents(store, target) == CONTENTS


@pytest.mark.engine
@pytest.mark.parametrize("form", ["oci-archive", "oci-dir", "docker-archive"])
async def test_load__made_by_podman__is_the_image(store, tmp_path, form: str) -> None:
    (tmp_path / "source").write_bytes(archives.image(LAYER, SECOND).archive())
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # podman takes no longer paths
        podman = ["podman", f"--root={folder}/root", f"--runroot={folder}/run", f"--tmpdir={folder}/tmp"]
        podman.append("--storage-driver=vfs")
        loading = [*podman, "load", "-q", "-i", str(tmp_path / "source")]
        name = subprocess.run(loading, check=True, capture_output=True, text=True).stdout.split()[-1]
        _run(*podman, "tag", name, "localhost/shop/web:1")
        _run(*podman, "save", "-q", "--format", form, "-o", tmp_path / "made", "localhost/shop/web:1")
    assert await _contents(store, tmp_path / "made") == CONTENTS

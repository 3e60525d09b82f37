"""Archives of every form become the one that all engines load; hostile ones are refused, and nothing is left behind."""

import errno
import gzip
import hashlib
import io
import json
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable

import pytest
import zstandard

from agent import errors
from agent.distribution.archives import docker_archive
from agent.oci import mediatypes
from tests import archives

LAYER = archives.tar(archives.folder("d"), archives.file("d/f", b"first"))
SECOND = archives.tar(archives.file("g", b"second"))
NAME = "localhost/test:1"


@pytest.fixture(autouse=True)
def unusable_temporary_directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the system's directory for temporary files to a path that does not exist."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))


@pytest.fixture
def work(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def converted(path: pathlib.Path, work: pathlib.Path) -> dict[str, bytes]:
    """Convert an archive, and give the files of the result; no file is left open or behind."""
    before = archives.descriptors()
    out = io.BytesIO()
    try:
        docker_archive.convert(path, NAME, out, work)
    finally:
        assert archives.descriptors() == before
        assert list(work.iterdir()) == []
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def diff_name(layer: bytes) -> str:
    return f"{hashlib.sha256(layer).hexdigest()}/layer.tar"


def assert_holds_image(files: dict[str, bytes], config: bytes, *layers: bytes) -> None:
    """See that an archive holds just this image."""
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    names = [diff_name(layer) for layer in layers]
    assert json.loads(files["manifest.json"]) == [{"Config": config_name, "RepoTags": [NAME], "Layers": names}]
    assert files == {
        **{diff_name(layer): layer for layer in layers},
        config_name: config,
        "manifest.json": files["manifest.json"],
    }


@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize("form", archives.FORMS)
def test_convert__an_oci_layout_in_each_form__is_a_docker_archive_of_plain_layers(
    tmp_path: pathlib.Path, work: pathlib.Path, kind: str, form: str
) -> None:
    path = archives.stored(tmp_path / "image", archives.image(LAYER, SECOND, kind=kind), form)
    assert_holds_image(converted(path, work), archives.config(LAYER, SECOND), LAYER, SECOND)


def test_convert__a_docker_archive__is_one_by_our_name(tmp_path: pathlib.Path, work: pathlib.Path) -> None:
    path = archives.write_archive(tmp_path / "image", archives.docker(LAYER, SECOND))
    assert_holds_image(converted(path, work), archives.config(LAYER, SECOND), LAYER, SECOND)


def test_convert__the_same_layer_twice__is_written_once_and_named_twice(
    tmp_path: pathlib.Path, work: pathlib.Path
) -> None:
    path = tmp_path / "image"
    path.write_bytes(archives.image(LAYER, SECOND, LAYER, kind="gzip").archive())
    files = converted(path, work)
    assert_holds_image(files, archives.config(LAYER, SECOND, LAYER), LAYER, SECOND, LAYER)


def test_convert__an_index__takes_the_image_for_this_host(tmp_path: pathlib.Path, work: pathlib.Path) -> None:
    layout = archives.Layout()
    ours = layout.image(layout.blob(archives.config(LAYER), mediatypes.CONFIG), [layout.blob(LAYER, mediatypes.LAYER)])
    here = json.loads(archives.config())
    images = [
        {**ours, "platform": {"os": "plan9", "architecture": "mips"}, "digest": f"sha256:{'0' * 64}"},
        {**ours, "platform": {"os": here["os"], "architecture": here["architecture"]}},
    ]
    layout.index(layout.document({"schemaVersion": 2, "manifests": images}, mediatypes.INDEX))
    assert_holds_image(converted(layout.directory(tmp_path / "image"), work), archives.config(LAYER), LAYER)


@pytest.mark.engine
def test_convert__the_result__is_loaded_by_skopeo(tmp_path: pathlib.Path, work: pathlib.Path) -> None:
    source, converted, copied = tmp_path / "image", tmp_path / "docker.tar", tmp_path / "copied"
    source.write_bytes(archives.image(LAYER, SECOND, kind="zstd").archive())
    with converted.open("wb") as out:
        docker_archive.convert(source, NAME, out, work)
    command = ["skopeo", "--insecure-policy", "--tmpdir", str(work), "copy", "--quiet"]
    subprocess.run([*command, f"docker-archive:{converted}:{NAME}", f"dir:{copied}"], check=True, capture_output=True)
    config = json.loads((copied / "manifest.json").read_bytes())["config"]["digest"]
    assert config == archives.digest(archives.config(LAYER, SECOND))
    shutil.rmtree(copied)


def _top(layout: archives.Layout, manifest: object) -> None:
    layout.index(layout.document(manifest, mediatypes.MANIFEST))


def _of(layout: archives.Layout, config: bytes, *layers: dict[str, object]) -> None:
    layout.index(layout.image(layout.blob(config, mediatypes.CONFIG), layers))


def _layer(layout: archives.Layout, data: bytes = LAYER, media_type: str = mediatypes.LAYER) -> dict[str, object]:
    return layout.blob(data, media_type)


HOSTILE: dict[str, Callable[[archives.Layout], None]] = {
    "config that is no JSON": lambda layout_image: _of(layout_image, b"nonsense", _layer(layout_image)),
    "config that is a list": lambda layout_image: _of(layout_image, b"[]", _layer(layout_image)),
    "config of odd diff ids": lambda layout_image: _of(
        layout_image, b'{"rootfs": {"diff_ids": ["../../x"]}}', _layer(layout_image)
    ),
    "config of numbers for diff ids": lambda layout_image: _of(
        layout_image, b'{"rootfs": {"diff_ids": [5]}}', _layer(layout_image)
    ),
    "config without its layers": lambda layout_image: _of(layout_image, archives.config(), _layer(layout_image)),
    "config of another layer": lambda layout_image: _of(layout_image, archives.config(SECOND), _layer(layout_image)),
    "layer of an unknown type": lambda layout_image: _of(
        layout_image, archives.config(LAYER), _layer(layout_image, LAYER, "application/vnd.in-toto+json")
    ),
    "layer that is damaged gzip": lambda layout_image: _of(
        layout_image, archives.config(LAYER), _layer(layout_image, gzip.compress(LAYER)[:-9], mediatypes.LAYER_GZIP)
    ),
    "layer that is damaged zstd": lambda layout_image: _of(
        layout_image,
        archives.config(LAYER),
        _layer(layout_image, zstandard.compress(LAYER)[:-9], mediatypes.LAYER_ZSTD),
    ),
    "manifest that is a list": lambda layout_image: _top(layout_image, []),
    "manifest that is an index as well": lambda layout_image: _top(
        layout_image, {"layers": [], "manifests": [], "config": {}}
    ),
    "manifest without a config": lambda layout_image: _top(layout_image, {"layers": []}),
    "index of nothing": lambda layout_image: _top(layout_image, {"manifests": []}),
    "index of what is not there": lambda layout_image: _top(
        layout_image, {"manifests": [{"mediaType": mediatypes.MANIFEST, "digest": f"sha256:{'0' * 64}", "size": 2}]}
    ),
    "index of an index": lambda layout_image: _top(
        layout_image, {"manifests": [layout_image.document({"manifests": []}, mediatypes.INDEX)]}
    ),
    "index that is no JSON": lambda layout_image: layout_image.files.update({"index.json": b"\xff"}),
    "no index": lambda layout_image: layout_image.files.pop("index.json", None),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_convert__a_hostile_archive__is_refused_in_the_engines_words_with_nothing_left(
    tmp_path: pathlib.Path, work: pathlib.Path, how: str
) -> None:
    layout, path = archives.Layout(), tmp_path / "image"
    HOSTILE[how](layout)
    path.write_bytes(layout.archive())
    with pytest.raises((errors.InvalidArgument, errors.NotFound)):
        converted(path, work)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x1f\x8bnonsense", bytes(1024)])
def test_convert__no_archive_at_all__is_refused(tmp_path: pathlib.Path, work: pathlib.Path, data: bytes) -> None:
    (tmp_path / "image").write_bytes(data)
    with pytest.raises(errors.InvalidArgument):
        converted(tmp_path / "image", work)


def test_convert__no_such_file__is_not_found(tmp_path: pathlib.Path, work: pathlib.Path) -> None:
    with pytest.raises(errors.NotFound, match="there is no archive at"):
        converted(tmp_path / "image", work)


class Full(io.BytesIO):
    """A file on a disk without any room."""

    def write(self, _: object) -> int:
        """Raise that the disk is full."""
        raise OSError(errno.ENOSPC, "No space left on device")


def test_convert__a_full_disk__may_have_room_later(tmp_path: pathlib.Path, work: pathlib.Path) -> None:
    (tmp_path / "image").write_bytes(archives.image(LAYER).archive())
    with pytest.raises(errors.Unavailable, match="No space left on device") as caught:
        docker_archive.convert(tmp_path / "image", NAME, Full(), work)
    assert (caught.value.reason, list(work.iterdir())) == ("DiskFull", [])


def test_convert__no_place_to_work__is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "image").write_bytes(archives.image(LAYER).archive())
    with pytest.raises(errors.Unavailable) as caught:
        docker_archive.convert(tmp_path / "image", NAME, io.BytesIO(), tmp_path / "missing")
    assert caught.value.reason == "HostFailure"

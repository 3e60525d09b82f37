"""What we push, others read; what they pushed, we read and push on: Debian's registry, skopeo and Docker."""

import contextlib
import hashlib
import json
import pathlib
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agent import errors
from agent.distribution.registry import uploads
from agent.engine.images import transfer
from agent.oci import mediatypes
from tests import archives, engines, registry

pytestmark = [pytest.mark.root, pytest.mark.engine]

LAYER = archives.tar(archives.folder("d"), archives.file("d/f", b"first"))
SECOND = archives.tar(archives.file("g", b"second"))
NAME = "localhost/test:latest"
LOGIN = f"{registry.USER}:{registry.PASSWORD}"


@pytest.fixture
def address(tmp_path: pathlib.Path) -> Iterator[str]:
    """A registry that is open to everybody."""
    with registry.running(tmp_path / "registry") as served_address:
        yield served_address


@pytest.fixture
def guarded(tmp_path: pathlib.Path) -> Iterator[str]:
    """A registry that wants a login."""
    with registry.running(tmp_path / "guarded", login=True) as served_address:
        yield served_address


@pytest.fixture
async def fresh(tmp_path: pathlib.Path) -> AsyncIterator[registry.Store]:
    """Another store, with nothing in it."""
    async with registry.opened(tmp_path / "fresh") as opened:
        yield opened


async def _load(store: registry.Store, folder: pathlib.Path, *layers: bytes, kind: str = "gzip") -> None:
    (folder / "image.tar").write_bytes(archives.image(*layers, kind=kind).archive())
    await store.images.load(folder / "image.tar", NAME, (), lambda _: None)


async def _push(store: registry.Store, target: str, name: str = NAME) -> str:
    sent = transfer.Transfer(store.images, store.content, store.client)
    return await sent.push(name, target, store.stages.append)


def _skopeo(*words: str) -> Any:
    command = ["skopeo", "--insecure-policy", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


def _files(stored: Any) -> dict[str, bytes]:
    return {
        str(path.relative_to(lower)): path.read_bytes()
        for lower in stored.lower_dirs
        for path in sorted(lower.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd"])
async def test_push__layers_of_each_kind__are_read_by_skopeo_and_pulled_by_us(
    address, store, fresh, tmp_path, kind: str
) -> None:
    await _load(store, tmp_path, LAYER, SECOND, kind=kind)
    pushed = await _push(store, f"{address}/shop/web:1")
    inspected = _skopeo("inspect", "--tls-verify=false", f"docker://{address}/shop/web:1")
    assert (inspected["Digest"], inspected["Os"], len(inspected["Layers"])) == (pushed, "linux", 2)
    _skopeo("copy", "--quiet", "--src-tls-verify=false", f"docker://{address}/shop/web:1", f"dir:{tmp_path}/copied")
    packed = archives.packed(LAYER, kind)[0]
    assert (tmp_path / "copied" / hashlib.sha256(packed).hexdigest()).read_bytes() == packed
    assert _files(await fresh.pull(f"{address}/shop/web:1")) == {"d/f": b"first", "g": b"second"}


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ((), mediatypes.MANIFEST),
        (("--dest-compress-format=zstd",), mediatypes.MANIFEST),
        (("--format=v2s2",), mediatypes.DOCKER_MANIFEST),
    ],
    ids=["OCI", "zstd", "docker schema 2"],
)
async def test_push__what_skopeo_pushed__is_the_same_to_the_byte(
    address, store, busybox_archive, tmp_path, options: tuple[str, ...], kind: str
) -> None:
    registry.push(busybox_archive, f"{address}/app:1", *options)
    manifest, top = registry.manifest(f"{address}/app:1")
    await store.pull(f"{address}/app:1")
    with registry.running(tmp_path / "other") as other:
        assert await _push(store, f"{other}/elsewhere/app:2", f"{address}/app:1") == top["digest"]
        assert registry.manifest(f"{other}/elsewhere/app:2") == (manifest, top)
        _skopeo("copy", "--quiet", "--src-tls-verify=false", f"docker://{other}/elsewhere/app:2", f"dir:{tmp_path}/d")
    assert manifest["mediaType"] == kind


async def test_push__large_layer__goes_in_chunks_and_is_whole(address, store, fresh, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(uploads, "CHUNK", 100_000)
    noise = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(16_000))
    await _load(store, tmp_path, archives.tar(archives.file("noise", noise)), kind="plain")
    await _push(store, f"{address}/app:1")
    assert (tmp_path / "registry/log").read_text().count('"PATCH /v2/app/blobs/uploads/') == 6
    assert _files(await fresh.pull(f"{address}/app:1")) == {"noise": noise}


async def test_push__blobs_that_another_repository_has__are_mounted_and_none_is_sent(
    address, store, busybox_archive, tmp_path
) -> None:
    registry.push(busybox_archive, f"{address}/base:1")
    await store.pull(f"{address}/base:1")
    before = (tmp_path / "registry/log").read_text()
    await _push(store, f"{address}/mine:1", f"{address}/base:1")
    done = (tmp_path / "registry/log").read_text().removeprefix(before)
    sent = re.findall(r'"(POST|PATCH|PUT) /v2/mine/blobs/uploads/\S* HTTP/1.1" (\d+)', done)
    assert sent == [("POST", "201"), ("POST", "201")]
    assert registry.manifest(f"{address}/mine:1") == registry.manifest(f"{address}/base:1")


async def test_push__again__sends_no_blob(address, store, tmp_path) -> None:
    await _load(store, tmp_path, LAYER)
    first = await _push(store, f"{address}/app:1")
    before = (tmp_path / "registry/log").read_text()
    assert await _push(store, f"{address}/app:2") == first
    done = (tmp_path / "registry/log").read_text().removeprefix(before)
    assert re.findall(r'"(\w+) /v2/app/(\w+)/', done).count(("HEAD", "blobs")) == 2
    assert '"POST /v2/' not in done


async def test_push__with_a_login__is_let_in_and_without_one_denied(guarded, store, tmp_path, docker_config) -> None:
    await _load(store, tmp_path, LAYER)
    with pytest.raises(errors.InvalidArgument) as caught:
        await _push(store, f"{guarded}/app:1")
    assert caught.value.reason == "ImagePushDenied"
    assert caught.value.hint == f"declare a Secret with its login, or let docker login {guarded} write it"
    subprocess.run(
        [
            *("skopeo", "login", "--tls-verify=false", f"--authfile={docker_config}/config.json"),
            *("-u", registry.USER, "-p", registry.PASSWORD, guarded),
        ],
        check=True,
        capture_output=True,
    )
    await _push(store, f"{guarded}/app:1")
    inspected = _skopeo("inspect", "--tls-verify=false", f"--creds={LOGIN}", f"docker://{guarded}/app:1")
    assert len(inspected["Layers"]) == 1


@contextlib.contextmanager
def _door(engine: engines.Engine, folder: pathlib.Path) -> Iterator[str]:
    """Serve the registry's data where an engine can reach it: in its network namespace."""
    (folder / "door").mkdir()
    (folder / "door" / "data").symlink_to(folder / "registry" / "data")
    with contextlib.ExitStack() as stack:
        with engines.entered(engine):
            served_address = stack.enter_context(registry.running(folder / "door"))
        yield served_address


async def test_docker__pulls_what_we_pushed_and_we_pull_what_it_pushed(
    address, store, fresh, tmp_path, docker_engine
) -> None:
    await _load(store, tmp_path, LAYER, SECOND)
    await _push(store, f"{address}/app:1")
    with _door(docker_engine, tmp_path) as door:
        docker = ["docker", "-H", docker_engine.url]
        subprocess.run([*docker, "pull", "--quiet", f"{door}/app:1"], check=True, capture_output=True)
        inspected = docker_engine.call("GET", f"images/{door}/app:1/json")
        assert inspected["Id"] == store.images.runnable(NAME).id
        subprocess.run([*docker, "tag", f"{door}/app:1", f"{door}/docker:1"], check=True)
        subprocess.run([*docker, "push", "--quiet", f"{door}/docker:1"], check=True, capture_output=True)
        subprocess.run([*docker, "rmi", f"{door}/app:1", f"{door}/docker:1"], check=True, capture_output=True)
    pulled = await fresh.pull(f"{address}/docker:1")
    assert (pulled.id, _files(pulled)) == (store.images.runnable(NAME).id, {"d/f": b"first", "g": b"second"})
    assert registry.manifest(f"{address}/docker:1")[0]["mediaType"] == mediatypes.DOCKER_MANIFEST
    assert (
        await _push(fresh, f"{address}/again:1", f"{address}/docker:1")
        == registry.manifest(f"{address}/docker:1")[1]["digest"]
    )

"""Pulls from a real registry: every way to name an image, and every form in which registries keep one."""

import base64
import json
import pathlib
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from agent import errors
from agent.drivers.native import driver
from agent.engine import recover
from agent.model import image
from agent.oci import mediatypes
from tests import builders, registry

pytestmark = [pytest.mark.root, pytest.mark.engine]

LOGIN = f"--dest-creds={registry.USER}:{registry.PASSWORD}"


@pytest.fixture
def address(tmp_path: pathlib.Path) -> Iterator[str]:
    """A registry that is open to everybody."""
    with registry.running(tmp_path / "registry") as served_address:
        yield served_address


@pytest.fixture
def guarded(tmp_path: pathlib.Path, busybox_archive: pathlib.Path) -> Iterator[str]:
    """A registry that wants a login, and has ``app:1``."""
    with registry.running(tmp_path / "guarded", login=True) as served_address:
        registry.push(busybox_archive, f"{served_address}/app:1", LOGIN)
        yield served_address


@pytest.fixture
async def store(tmp_path: pathlib.Path) -> AsyncIterator[registry.Store]:
    """An empty image store."""
    async with registry.opened(tmp_path / "store") as opened:
        yield opened


@pytest.fixture(autouse=True)
def docker_config(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder that ``docker login`` would write to, instead of this machine's own."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    (tmp_path / "docker").mkdir()
    return tmp_path / "docker" / "config.json"


def _logged_in(config: pathlib.Path, address: str, password: str = registry.PASSWORD) -> None:
    encoded = base64.b64encode(f"{registry.USER}:{password}".encode()).decode()
    config.write_text(json.dumps({"auths": {address: {"auth": encoded}}}))


@pytest.mark.parametrize(
    ("options", "manifest_type", "layer_type"),
    [
        ((), mediatypes.MANIFEST, mediatypes.LAYER_GZIP),
        (("--dest-compress-format=zstd",), mediatypes.MANIFEST, mediatypes.LAYER_ZSTD),
        (("--format=v2s2",), mediatypes.DOCKER_MANIFEST, mediatypes.DOCKER_LAYER_GZIP),
    ],
    ids=["gzip", "zstd", "docker schema 2"],
)
async def test_pull__by_tag__unpacks_every_form_of_image(
    address, store, busybox_archive, options: tuple[str, ...], manifest_type: str, layer_type: str
) -> None:
    registry.push(busybox_archive, f"{address}/shop/web:1.2", *options)
    manifest, top = registry.manifest(f"{address}/shop/web:1.2")
    assert (manifest["mediaType"], manifest["layers"][0]["mediaType"]) == (manifest_type, layer_type)
    pulled = await store.pull(f"{address}/shop/web:1.2")
    assert (pulled.lower_dirs[0] / "bin/busybox").read_bytes() == pathlib.Path("/bin/busybox").read_bytes()
    assert pulled.id == manifest["config"]["digest"]
    assert pulled.size == top["size"] + manifest["config"]["size"] + manifest["layers"][0]["size"]
    assert store.content.digests() == {top["digest"], manifest["config"]["digest"], manifest["layers"][0]["digest"]}
    assert [record.reference for record in store.images.list()] == [f"{address}/shop/web:1.2"]


async def test_pull__by_digest__is_that_image_whatever_the_tag_says_now(address, store, busybox_archive) -> None:
    registry.push(busybox_archive, f"{address}/app:1")
    _, old = registry.manifest(f"{address}/app:1")
    registry.push(busybox_archive, f"{address}/app:1", "--format=v2s2")
    _, new = registry.manifest(f"{address}/app:1")
    assert new["digest"] != old["digest"]
    await store.pull(f"{address}/app:1@{old['digest']}")
    assert old["digest"] in store.content.digests()
    assert new["digest"] not in store.content.digests()


async def test_pull__again__fetches_no_blob_twice(address, store, busybox_archive) -> None:
    registry.push(busybox_archive, f"{address}/app:1")
    manifest, _ = registry.manifest(f"{address}/app:1")
    size = manifest["layers"][0]["size"]
    await store.pull(f"{address}/app:1")
    assert (store.stages[-1].done, store.stages[-1].total) == (size, size)
    store.stages.clear()
    await store.pull(f"{address}/app:1")
    assert {stage.message for stage in store.stages} == {
        f"resolving {address}/app:1",
        f"unpacking 1 layer of {address}/app:1",
    }
    assert {(stage.done, stage.total) for stage in store.stages} == {(0, 0)}


@pytest.mark.parametrize(
    ("index_type", "options"), [(mediatypes.INDEX, ()), (mediatypes.DOCKER_INDEX, ("--format=v2s2",))]
)
async def test_pull__index__takes_the_manifest_of_the_platform(
    address, store, busybox_archive, index_type: str, options: tuple[str, ...]
) -> None:
    registry.push(busybox_archive, f"{address}/app:amd64", *options)
    amd64, amd64_entry = registry.manifest(f"{address}/app:amd64")
    registry.push_manifest(f"{address}/app:arm64", {**amd64, "annotations": {"made": "for arm"}})
    _, arm64_entry = registry.manifest(f"{address}/app:arm64")
    top = registry.push_index(
        f"{address}/app:all",
        index_type,
        [
            {**arm64_entry, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
            {**amd64_entry, "platform": {"os": "linux", "architecture": "amd64"}},
        ],
    )
    await store.pull(f"{address}/app:all", "linux/amd64")
    assert amd64_entry["digest"] in store.content.digests()
    assert arm64_entry["digest"] not in store.content.digests()
    await store.pull(f"{address}/app@{top}", "linux/arm64")
    assert arm64_entry["digest"] in store.content.digests()
    failed = await store.fails(f"{address}/app:all", "linux/s390x")
    assert (type(failed), failed.reason) == (errors.NotFound, "PlatformNotFound")
    assert failed.hint == "it is made for linux/amd64, linux/arm64/v8"


@pytest.mark.parametrize("name", ["app:2", "other:1"])
async def test_pull__no_such_tag_or_repository__is_not_found(address, store, busybox_archive, name: str) -> None:
    registry.push(busybox_archive, f"{address}/app:1")
    failed = await store.fails(f"{address}/{name}")
    assert (type(failed), failed.reason) == (errors.NotFound, "ImageNotFound")
    assert f"{address}/{name} is not in the registry" in str(failed)


async def test_pull__nobody_listens__is_unavailable(store, tmp_path) -> None:
    with registry.running(tmp_path / "gone") as address:
        pass
    failed = await store.fails(f"{address}/app:1")
    assert (registry.kind(failed), failed.reason) == (errors.Unavailable, "ImagePullFailed")
    assert f"registry {address} cannot be reached" in str(failed)


async def test_pull__logged_in__is_let_in(guarded, store, docker_config) -> None:
    _logged_in(docker_config, guarded)
    pulled = await store.pull(f"{guarded}/app:1")
    assert (pulled.lower_dirs[0] / "bin/busybox").exists()


@pytest.mark.parametrize("password", ["", "wrong"])
async def test_pull__login_missing_or_wrong__is_denied_until_it_is_right(
    guarded, store, docker_config, password: str
) -> None:
    if password:
        _logged_in(docker_config, guarded, password)
    failed = await store.fails(f"{guarded}/app:1")
    assert (type(failed), failed.reason) == (errors.InvalidArgument, "ImagePullDenied")
    assert failed.hint == f"declare a Secret with its login, or let docker login {guarded} write it"
    assert registry.USER not in str(failed)
    _logged_in(docker_config, guarded)
    assert (await store.pull(f"{guarded}/app:1")).reference == f"{guarded}/app:1"


async def test_pull__the_disk_is_full__says_so_and_does_not_blame_the_registry(
    address, store, busybox_archive, tmp_path
) -> None:
    registry.push(busybox_archive, f"{address}/app:1")
    content = tmp_path / "store" / "root" / "content"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", content], check=True)
    try:
        store.content.prepare()
        failed = await store.fails(f"{address}/app:1")
        assert (type(failed), failed.reason) == (errors.Unavailable, "DiskFull")
    finally:
        subprocess.run(["umount", content], check=True)


async def test_pull__through_the_native_runtime__leaves_nothing_when_it_is_removed(
    guarded, docker_config, tmp_path
) -> None:
    config = image.ImageConfig("app", f"{guarded}/app:1", image.PullSource(""))
    async with driver.open_runtime(tmp_path / "root", tmp_path / "run") as runtime:
        with pytest.raises(errors.InvalidArgument) as caught:
            await runtime.images.ensure(config, builders.labels_for(config), lambda _: None)
        assert caught.value.reason == "ImagePullDenied"
        _logged_in(docker_config, guarded)
        ensured = await runtime.images.ensure(config, builders.labels_for(config), lambda _: None)
        assert await runtime.images.list() == (ensured,)
        await runtime.images.remove(config.reference)
        assert await recover.leftovers(runtime.engine.recovery) == []

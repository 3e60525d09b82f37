"""Binds of a source that may not have everything: a symlink that comes between the look and the mount leads nowhere."""

import pathlib
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import pytest

from agent import errors
from agent.drivers.native import containers, driver
from agent.engine.containers import launch
from agent.engine.shim import oci_runtime
from agent.kit import processes
from agent.model import container, hostaccess
from tests import archives, builders
from tests.integration import native

pytestmark = pytest.mark.root


@pytest.fixture(params=["chosen", "runc"])
async def host(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> AsyncIterator[native.Host]:
    """Start a native runtime with the OCI runtime that would be chosen, and with runc."""
    path = processes.which("runc")
    assert path is not None
    async with native.opened(tmp_path, oci_runtime.Program(path) if request.param == "runc" else None) as opened:
        yield opened


@pytest.fixture
def shop(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return what may be bound, with something in it; beside it a secret that may not."""
    for name in ("shop", "outside"):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "shop/link").symlink_to("data")
    return tmp_path / "shop"


def bind(source: pathlib.Path, path: str) -> container.BindMount:
    return container.BindMount(str(source), path, read_only=False)


def limited(host: native.Host, shop: pathlib.Path) -> containers.Containers:
    return containers.Containers(host.runtime.engine, hostaccess.HostAccess((str(shop),)))


async def created(role: containers.Containers, *mounts: container.BindMount) -> str:
    script = "touch /host/data/ran /host/ran; sleep 1000"
    config = builders.config("web", image=native.REFERENCE, command=("/bin/sh", "-c", script), mounts=mounts)
    return await role.create(config, "web", builders.labels_for(config))


def between(monkeypatch: pytest.MonkeyPatch, point: str, act: Callable[[], object]) -> None:
    monkeypatch.setattr(launch, point, SimpleNamespace(hit=act))


def swap(folder: pathlib.Path, target: pathlib.Path) -> None:
    folder.rename(folder.with_name("aside"))
    folder.symlink_to(target)


@pytest.mark.parametrize("name", ["", "data", "file"])
async def test_bind__becomes_a_link_out_before_the_mount__nothing_runs(host, shop, monkeypatch, name: str) -> None:
    role, outside = limited(host, shop), shop.with_name("outside")
    (shop / "parent").mkdir()
    (shop / "data").rename(shop / "parent/data")
    (shop / "file").rename(shop / "parent/file")
    identity = await created(role, bind(shop / "parent" / name, "/host"))
    between(monkeypatch, "_NETWORK", lambda: swap(shop / "parent", outside))
    with pytest.raises(errors.Conflict) as raised:
        await role.start(identity)
    assert raised.value.reason == "BindNotAdmitted"
    assert not list(outside.rglob("ran"))
    monkeypatch.undo()
    (shop / "parent").unlink()
    (shop / "aside").rename(shop / "parent")
    await role.start(identity)
    assert (await host.observe(identity)).state is container.ContainerState.RUNNING


async def test_bind__below_another_that_is_renamed_after_the_mount__nothing_runs(host, shop, monkeypatch) -> None:
    role = limited(host, shop)
    (shop / "point").mkdir()
    identity = await created(role, bind(shop, "/host"), bind(shop / "data", "/host/point"))

    def mounted_elsewhere() -> None:
        swap(shop / "data", shop.with_name("outside"))

    def hidden() -> None:
        (shop / "point").rename(shop / "mounted")
        (shop / "aside").rename(shop / "point")

    between(monkeypatch, "_NETWORK", mounted_elsewhere)
    between(monkeypatch, "_CONMON", hidden)
    with pytest.raises(errors.Conflict) as raised:
        await role.start(identity)
    assert raised.value.reason == "BindNotAdmitted"


async def test_bind__missing_at_the_look_and_a_link_at_the_mount__nothing_runs(host, shop, monkeypatch) -> None:
    role, outside = limited(host, shop), shop.with_name("outside")
    identity = await created(role, bind(shop / "data", "/host"))
    (shop / "data").rmdir()
    between(monkeypatch, "_NETWORK", lambda: (shop / "data").symlink_to(outside))
    with pytest.raises(errors.Conflict) as raised:
        await role.start(identity)
    assert raised.value.reason == "BindNotAdmitted"
    assert not list(outside.rglob("ran"))


async def test_binds__that_are_what_they_were__run(host, shop) -> None:
    mounts = [bind(shop, "/host"), bind(shop / "link", "/host/data"), bind(shop / "file", "/var/run/file")]
    role = limited(host, shop)
    identity = await created(role, *mounts, bind(shop / "data", "/again"))
    await role.start(identity)
    assert (await host.exec(identity, "/bin/cat", "/var/run/file"))[0] == "shop"
    assert [path for path in archives.descriptors().values() if path.startswith(str(shop))] == []


async def test_runtime__that_may_have_less__tells_its_containers_and_its_images(tmp_path: pathlib.Path) -> None:
    access = hostaccess.HostAccess((str(tmp_path),))
    async with driver.open_runtime(tmp_path / "root", tmp_path / "run", access=access) as runtime:
        assert (runtime.containers.access, runtime.images.access) == (access, access)

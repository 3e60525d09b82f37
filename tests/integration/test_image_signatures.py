"""Rules about signatures, and whoever would get round them: by archives, tags, names, and containers that are there."""

import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from agent import errors
from agent.distribution.registry import client
from agent.drivers.native import containers, stores
from agent.engine import engine as engines
from agent.engine import layout, recover
from agent.engine.images import signatures, transfer
from agent.model import container, image
from agent.oci import archives as oci_archives
from agent.oci import mediatypes
from tests import archives, builders, registry, signing

pytestmark = [pytest.mark.root, pytest.mark.engine]

LAYER = archives.tar(archives.folder("d"), archives.file("d/f", b"first"))
FREE, BOUND = "localhost/free:1", "registry.example/team/app:1"
PULL = image.PullSource("")


@pytest.fixture
def signer(tmp_path: pathlib.Path) -> signing.Signer:
    """The key that must have signed the images of ``registry.example``."""
    return signing.signer(tmp_path)


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """A store in which images of ``registry.example`` must be signed."""

    store: archives.Store
    ship: transfer.Transfer
    folder: pathlib.Path

    def archive(self, name: str = "image", *layers: bytes) -> pathlib.Path:
        """Write an archive of an image."""
        return archives.stored(self.folder / name, archives.image(*(layers or (LAYER,))), "archive")

    def names(self) -> list[str]:
        """Name all images that are there."""
        return [image.reference for image in self.store.images.list()]


@pytest.fixture
async def stage(tmp_path, signer) -> AsyncIterator[Room]:
    rule = signer.rule("registry.example/*")
    async with archives.opened(tmp_path / "room", rule) as store, client.RegistryClient() as asking:
        yield Room(store, transfer.Transfer(store.images, store.content, asking), tmp_path)
        assert store.leftovers() == []


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    with pytest.raises(errors.InvalidArgument) as caught:
        yield
    assert caught.value.reason == "ImageUnverified"


async def test_load__under_a_name_that_must_be_signed__is_refused(stage) -> None:
    with _refused():
        await stage.ship.load(stage.archive(), BOUND, lambda _: None)
    with _refused():
        await stage.store.load(stage.archive(), BOUND)
    assert (stage.names(), list(stage.store.where.snapshots.iterdir())) == ([], [])
    assert [record.reference for record in await stage.ship.load(stage.archive(), FREE, lambda _: None)] == [FREE]


@pytest.mark.parametrize("form", list(oci_archives.ArchiveFormat))
async def test_load__by_the_name_in_the_archive__is_refused(stage, tmp_path, form: oci_archives.ArchiveFormat) -> None:
    async with archives.opened(tmp_path / "elsewhere") as other, client.RegistryClient() as asking:
        ship = transfer.Transfer(other.images, other.content, asking)
        await other.load(stage.archive(), BOUND)
        with (tmp_path / "saved.tar").open("wb") as out:
            await ship.save([BOUND], form, out, lambda _: None)
    with _refused():
        await stage.ship.load(tmp_path / "saved.tar", "", lambda _: None)
    assert stage.names() == []


async def test_import__under_a_name_that_must_be_signed__is_refused(stage, tmp_path) -> None:
    (tmp_path / "root.tar").write_bytes(LAYER)
    with _refused():
        await stage.ship.import_root(tmp_path / "root.tar", BOUND, oci_archives.RootImage(), 0.0, lambda _: None)
    assert stage.names() == []


@pytest.mark.parametrize("name", [BOUND, "registry.example/other", "registry.example/a/b:latest"])
async def test_tag__to_a_name_that_must_be_signed__is_refused(stage, name: str) -> None:
    await stage.store.load(stage.archive(), FREE)
    with _refused():
        stage.ship.tag(FREE, name)
    assert stage.names() == [FREE]


async def test_save_and_remove__not_verified__are_as_for_every_image(stage, tmp_path) -> None:
    async with archives.opened(tmp_path / "room") as before:
        await before.load(stage.archive(), BOUND)
    with (tmp_path / "saved.tar").open("wb") as out:
        await stage.ship.save([BOUND], oci_archives.ArchiveFormat.OCI, out, lambda _: None)
    with _refused():
        stage.store.images.runnable(BOUND)
    await stage.store.images.remove(BOUND)
    assert (stage.names(), stage.store.content.digests()) == ([], frozenset())


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """The roles of a native runtime with rules."""

    engine: engines.Engine
    images: stores.Images
    containers: containers.Containers

    async def ensure(self, name: str) -> image.ObservedImage:
        """Pull an image."""
        return await self.images.ensure(image.ImageConfig(name, name, PULL), (), lambda _: None)

    async def create(self, name: str) -> str:
        """Make a container."""
        config = builders.config("web", image=name, command=("/bin/sleep", "600"))
        return await self.containers.create(config, "web", ())


Opening = Callable[..., contextlib.AbstractAsyncContextManager[Host]]


@pytest.fixture
def opened(tmp_path) -> Opening:
    """Open the same instance, with rules."""

    @contextlib.asynccontextmanager
    async def opening(*rules: signatures.Rule) -> AsyncIterator[Host]:
        where = layout.of(tmp_path / "root", tmp_path / "run")
        async with engines.opened(where, engines.Options(verify=signatures.Policy(rules)), lambda _: None) as engine:
            yield Host(engine, stores.Images(engine), containers.Containers(engine))

    return opening


@pytest.fixture
def app(tmp_path, busybox_archive):
    """An image in a real registry, ``app:1``."""
    with registry.running(tmp_path / "registry") as address:
        registry.push(busybox_archive, f"{address}/app:1")
        yield f"{address}/app"


async def test_runtime__not_signed__is_refused_in_the_runtimes_own_words(opened, app, signer) -> None:
    async with opened(signer.rule("*")) as host:
        with pytest.raises(errors.InvalidArgument) as caught:
            await host.ensure(f"{app}:1")
        assert caught.value.reason == "ImageUnsigned"
        assert caught.value.hint.startswith("cosign sign --key")
        with pytest.raises(errors.NotFound):
            await host.create(f"{app}:1")
        assert await recover.leftovers(host.engine.recovery) == []


async def test_container__a_rule_comes_later__starts_no_more_until_its_image_is_verified(opened, app, signer) -> None:
    name = f"{app}:1"
    _, top = registry.manifest(name)
    async with opened() as host:
        await host.ensure(name)
        identity = await host.create(name)
        await host.containers.start(identity)
    async with opened(signer.rule("*")) as host:
        (observed,) = await host.containers.list()
        assert observed.state is container.ContainerState.RUNNING
        assert [image.verified for image in await host.images.list()] == [False]
        await host.containers.stop(identity, container.StopConfig("SIGKILL", 5.0))
        for call in (host.containers.start(identity), host.create(name)):
            with pytest.raises(errors.InvalidArgument) as caught:
                await call
            assert caught.value.reason == "ImageUnverified"
        signing.push(app, top["digest"], signer.signed(signing.payload(top["digest"], app)))
        await host.ensure(name)
        assert [image.verified for image in await host.images.list()] == [True]
        await host.containers.start(identity)
        await host.containers.remove(identity)
        await host.images.remove(name)
        assert await recover.leftovers(host.engine.recovery) == []


async def test_container__its_image_is_another_one_by_now__still_starts_where_that_was_verified(
    opened, app, signer
) -> None:
    """The tag leads to a new image that is signed as well; a container of the old one is used until it is replaced."""
    name = f"{app}:1"
    manifest, old = registry.manifest(name)
    bare = b'{"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}'
    config = {"mediaType": mediatypes.CONFIG, "digest": registry.push_blob(app, bare), "size": len(bare)}
    signing.push(app, old["digest"], signer.signed(signing.payload(old["digest"], app)))
    async with opened(signer.rule("*")) as host:
        await host.ensure(name)
        identity = await host.create(name)
        new = registry.push_manifest(name, {**manifest, "config": config, "layers": []})
        signing.push(app, new, signer.signed(signing.payload(new, app)))
        assert (await host.ensure(name)).id == config["digest"]
    async with opened(signer.rule("*")) as host:
        await host.containers.start(identity)
        await host.containers.remove(identity)


async def test_looking__beside_the_agent__tells_what_is_verified(opened, app, signer, tmp_path) -> None:
    _, top = registry.manifest(f"{app}:1")
    signing.push(app, top["digest"], signer.signed(signing.payload(top["digest"], app)))
    options = engines.Options(verify=signatures.Policy((signer.rule("*"),)))
    async with opened(signer.rule("*")) as host:
        await host.ensure(f"{app}:1")
        where = layout.of(tmp_path / "root", tmp_path / "run")
        async with engines.looking(where, options) as looking_engine:
            assert [image.verified for image in looking_engine.images.list()] == [True]
        await host.images.remove(f"{app}:1")

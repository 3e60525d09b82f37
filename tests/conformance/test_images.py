"""What a runtime does with images that a person moves by hand: each is nobody's, whatever it replaces."""

import contextlib
import dataclasses
import io
import pathlib
import tarfile
from collections.abc import Callable, Iterator

import pytest

from agent import errors
from agent.distribution.archives import docker_archive
from agent.model import container, hostaccess, image, secret
from agent.model.features import Feature
from agent.oci import archives as oci_archives
from agent.runtime import streams
from tests import archives, builders, engines, registry

NAME = "localhost/busybox:latest"
OTHER = "localhost/shop/other:2"
FORMATS = pytest.mark.parametrize("form", list(oci_archives.ArchiveFormat))


def has_content(harness) -> bool:
    """Return whether images have bytes."""
    return Feature.IMAGE_CONTENT not in dict(harness.runtime.features.unsupported)


@contextlib.contextmanager
def refused_without_content(harness) -> Iterator[None]:
    """Do something that a simulation refuses, with its reason."""
    if has_content(harness):
        yield
        return
    with pytest.raises(errors.InvalidArgument, match="its images have no content") as caught:
        yield
    assert caught.value.reason == "NoImageContent"


async def listed(harness) -> dict[str, tuple[str, object]]:
    """Return (id, labels) of each image by reference."""
    return {image.reference: (image.id, image.labels) for image in await harness.runtime.images.list()}


async def saved(harness, form: oci_archives.ArchiveFormat, *names: str) -> bytes:
    """Save images."""
    out = io.BytesIO()
    await harness.runtime.images.save(names, form, out, lambda _: None)
    return out.getvalue()


@contextlib.contextmanager
def served(harness, folder: pathlib.Path, *, login: bool = False) -> Iterator[str]:
    """Run a registry where the runtime reaches it; with ``login`` it is open to one user alone."""
    with contextlib.ExitStack() as stack:
        port = 0
        with contextlib.ExitStack() as inside:
            if harness.engine:
                port = int(engines.REGISTRY.partition(":")[2])
                inside.enter_context(engines.entered(harness.engine))
            address = stack.enter_context(registry.running(folder / "registry", port, login=login))
        yield address


def kept(folder: pathlib.Path, repository: str, tag: str) -> str:
    """Return the digest that a registry has under a tag."""
    repositories = folder / "registry/data/docker/registry/v2/repositories"
    return (repositories / repository / "_manifests/tags" / tag / "current/link").read_text()


async def test_tag__is_the_same_image_and_nobodys(harness) -> None:
    before = await listed(harness)
    await harness.runtime.images.tag(NAME, OTHER)
    assert await listed(harness) == {**before, OTHER: (before[NAME][0], ())}
    await harness.runtime.images.remove(NAME)
    assert list(await listed(harness)) == [OTHER]


async def test_tag__over_an_image_of_ours__makes_it_nobodys(harness) -> None:
    await harness.runtime.images.tag(NAME, OTHER)
    await harness.runtime.images.tag(OTHER, NAME)
    assert [labels for _, labels in (await listed(harness)).values()] == [(), ()]


async def test_tag__of_no_image__not_found(harness) -> None:
    with pytest.raises(errors.NotFound):
        await harness.runtime.images.tag("localhost/nothing:1", OTHER)
    assert list(await listed(harness)) == [NAME]


@FORMATS
async def test_save_and_load__several_names__are_the_same_images(
    harness, tmp_path, form: oci_archives.ArchiveFormat
) -> None:
    await harness.runtime.images.tag(NAME, OTHER)
    before = await listed(harness)
    with refused_without_content(harness):
        (tmp_path / "all.tar").write_bytes(await saved(harness, form, OTHER, NAME))
        await harness.runtime.images.remove(NAME)
        await harness.runtime.images.remove(OTHER)
        loaded = await harness.runtime.images.load(str(tmp_path / "all.tar"), "", lambda _: None)
        assert sorted(loaded) == [NAME, OTHER]
        assert await listed(harness) == {name: (identity, ()) for name, (identity, _) in before.items()}


@FORMATS
async def test_save__an_image_that_is_not_there__not_found_and_nothing_is_written(
    harness, form: oci_archives.ArchiveFormat
) -> None:
    out = io.BytesIO()
    with pytest.raises(errors.NotFound if has_content(harness) else errors.InvalidArgument):
        await harness.runtime.images.save((NAME, "localhost/nothing:1"), form, out, lambda _: None)
    assert out.getvalue() == b""


async def test_load__archive_without_names__needs_one(harness) -> None:
    with refused_without_content(harness):
        with pytest.raises(errors.InvalidArgument) as caught:
            await harness.runtime.images.load(str(harness.archive), "", lambda _: None)
        if not has_content(harness):
            raise caught.value
        assert caught.value.reason == "ImageNameless"
        assert await harness.runtime.images.load(str(harness.archive), OTHER, lambda _: None) == (OTHER,)
        assert (await listed(harness))[OTHER] == ((await listed(harness))[NAME][0], ())


async def test_load__over_an_image_of_ours__makes_it_nobodys(harness) -> None:
    with refused_without_content(harness):
        await harness.runtime.images.load(str(harness.archive), NAME, lambda _: None)
        assert [labels for _, labels in (await listed(harness)).values()] == [()]


async def test_load__archive_that_is_not_there__not_found(harness, tmp_path) -> None:
    with refused_without_content(harness):
        with pytest.raises(errors.Failure) as caught:
            await harness.runtime.images.load(str(tmp_path / "missing"), OTHER, lambda _: None)
        assert_missing(harness, caught.value)


async def test_import__file_that_is_not_there__not_found(harness, tmp_path) -> None:
    with refused_without_content(harness):
        with pytest.raises(errors.Failure) as caught:
            await harness.runtime.images.import_root(
                str(tmp_path / "missing"), OTHER, oci_archives.RootImage(), lambda _: None
            )
        assert_missing(harness, caught.value)


def assert_missing(harness, failed: errors.Failure) -> None:
    """See that it was a missing file; a simulation's refusal is raised on."""
    if not has_content(harness):
        raise failed
    assert (type(failed), failed.reason) == (errors.NotFound, "ArchiveNotFound")


async def test_import__a_root_file_system__runs_as_it_is_told(harness, tmp_path, packed: Callable[..., bytes]) -> None:
    (tmp_path / "root.tar").write_bytes(packed())
    sleeps = ("/bin/busybox", "sleep", "1000")
    root = oci_archives.RootImage(
        command=sleeps, env=(("A", "b c"),), working_dir="/etc", labels=(("made", "by hand"),)
    )
    with refused_without_content(harness):
        await harness.runtime.images.import_root(str(tmp_path / "root.tar"), OTHER, root, lambda _: None)
        assert (await listed(harness))[OTHER][1] == ()
        identity = await harness.running(builders.config("web", image=OTHER))
        request = streams.ExecRequest(("/bin/busybox", "sh", "-c", "echo $A; busybox pwd; busybox cat hi"))
        async with harness.runtime.containers.exec(identity, request) as session:
            output = b"".join([chunk async for _, chunk in session.output()])
        assert output == b"b c\n/etc\nthere\n"
        await harness.runtime.containers.stop(identity, container.StopConfig("SIGKILL", 5.0))


@pytest.fixture(params=["plain", "gzip", "xz"])
def packed(request: pytest.FixtureRequest) -> Callable[[], bytes]:
    """Return the tar of a root file system."""

    def image_archive() -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode={"plain": "w", "gzip": "w:gz", "xz": "w:xz"}[request.param]) as target:
            for entry, data in (
                *(archives.folder(name) for name in ("bin", "dev", "etc", "proc", "sys", "tmp")),
                archives.file("bin/busybox", pathlib.Path("/bin/busybox").read_bytes(), mode=0o755),
                archives.file("etc/hi", b"there\n"),
            ):
                target.addfile(entry, io.BytesIO(data))
        return out.getvalue()

    return image_archive


async def test_push__is_in_the_registry_and_nothing_else_has_changed(harness, tmp_path) -> None:
    before = await listed(harness)
    with refused_without_content(harness), served(harness, tmp_path) as address:
        pushed = await harness.runtime.images.push(NAME, f"{address}/app:1", lambda _: None)
        assert pushed == kept(tmp_path, "app", "1")
        assert await listed(harness) == before


async def test_push__target_names_another_image_here__that_keeps_its_name(harness, tmp_path) -> None:
    with refused_without_content(harness), served(harness, tmp_path) as address:
        (tmp_path / "root.tar").write_bytes(archives.tar(archives.folder("bin")))
        target = f"{address}/app:1"
        await harness.runtime.images.import_root(
            str(tmp_path / "root.tar"), target, oci_archives.RootImage(), lambda _: None
        )
        before = await listed(harness)
        await harness.runtime.images.push(NAME, target, lambda _: None)
        assert kept(tmp_path, "app", "1").startswith("sha256:")
        assert await listed(harness) == before


async def test_push__nobody_listens__is_unavailable_and_nothing_has_changed(harness, tmp_path) -> None:
    before = await listed(harness)
    with served(harness, tmp_path) as address:
        pass
    with refused_without_content(harness):
        with pytest.raises(errors.Failure) as caught:
            await harness.runtime.images.push(NAME, f"{address}/app:1", lambda _: None)
        if not has_content(harness):
            raise caught.value
        assert (type(caught.value), caught.value.reason) == (errors.Unavailable, "ImagePushFailed")
    assert await listed(harness) == before


async def test_push__of_no_image__not_found(harness) -> None:
    with pytest.raises(errors.NotFound if has_content(harness) else errors.InvalidArgument):
        await harness.runtime.images.push("localhost/nothing:1", "127.0.0.1:1/x:1", lambda _: None)


def published(harness, address: str) -> tuple[str, str, str]:
    """Push two versions of an image to a registry; return the first one's reference, and the digest of each."""
    name = f"{address}/shop/app"
    if harness.world is not None:
        harness.world.published |= {f"{name}:1.0.0": "sha256:" + "1" * 64, f"{name}:1.1.0": "sha256:" + "2" * 64}
        return f"{name}:1.0.0", *harness.world.published.values()
    with engines.entered(harness.engine) if harness.engine else contextlib.nullcontext():
        registry.push(harness.archive, f"{name}:1.0.0")
        registry.push(harness.archive, f"{name}:1.1.0", "--format", "v2s2")
        first, second = (registry.manifest(f"{name}:{tag}")[1]["digest"] for tag in ("1.0.0", "1.1.0"))
    return f"{name}:1.0.0", first, second


async def asked(harness, question: str, name: str):
    """Ask a registry from where it can be reached: our own client does, not the engine."""
    with engines.entered(harness.engine) if harness.engine else contextlib.nullcontext():
        return await getattr(harness.runtime.images, question)(name)


async def test_registry__is_asked__says_what_a_tag_stands_for_and_which_there_are(harness, tmp_path) -> None:
    with served(harness, tmp_path) as address:
        name, first, second = published(harness, address)
        assert first != second
        assert await asked(harness, "digest", name) == first
        assert await asked(harness, "digest", name.replace("1.0.0", "1.1.0")) == second
        assert sorted(await asked(harness, "tags", name)) == ["1.0.0", "1.1.0"]
        assert list(await listed(harness)) == [NAME], "nothing is fetched by a question"


async def test_registry__knows_no_such_image__not_found(harness, tmp_path) -> None:
    error = errors.NotFound("no such image", reason="ImageNotFound")
    with served(harness, tmp_path) as address:
        for question in ("digest", "tags"):
            if harness.world is not None:
                harness.world.fail(f"images.{question}", error)
            with pytest.raises(errors.NotFound):
                await asked(harness, question, f"{address}/nothing:1")


async def test_ensure__pinned__is_exactly_that_under_the_reference(harness, tmp_path) -> None:
    with served(harness, tmp_path) as address:
        name, first, second = published(harness, address)
        config = builders.image_config(name)
        labels = builders.labels_for(config)
        ensured = await harness.runtime.images.ensure(config, labels, lambda _: None)
        assert (ensured.reference, first in ensured.digests, second in ensured.digests) == (name, True, False)
        ensured = await harness.runtime.images.ensure(config, labels, lambda _: None, f"{name}@{second}")
        assert (ensured.reference, second in ensured.digests, ensured.labels) == (name, True, labels)
        by_reference = {image.reference: image for image in await harness.runtime.images.list()}
        assert (set(by_reference), by_reference[name]) == ({NAME, name}, ensured)
        if harness.name != "podman":  # which says of every name that it stands for all manifests of the image
            assert by_reference[NAME].digests == (), "an archive comes from no registry"


async def test_ensure__another_image_takes_the_name__the_old_one_goes_once_nothing_is_made_of_it(
    harness, tmp_path
) -> None:
    if harness.world is not None:
        pytest.skip("images without content take no room")
    paths = [_rooted(tmp_path, text) for text in ("one", "two")]
    configs = [image.ImageConfig("app", OTHER, image.ArchiveSource(str(path), str(path))) for path in paths]
    first = await harness.runtime.images.ensure(configs[0], builders.labels_for(configs[0]), lambda _: None)
    identity = await harness.create(builders.config("old", image=OTHER, command=("/bin/true",)))
    second = await harness.runtime.images.ensure(configs[1], builders.labels_for(configs[1]), lambda _: None)
    assert first.id != second.id
    assert (await harness.observe(identity)).image_id == first.id
    await harness.runtime.containers.remove(identity)
    assert {image.id for image in await harness.runtime.images.list()} == {(await listed(harness))[NAME][0], second.id}
    if harness.engine is not None:
        assert first.id not in {
            listed_image["Id"] for listed_image in harness.engine.call("GET", "images/json?all=true")
        }


async def test_ensure__an_archive_that_leads_out_of_what_is_admitted__is_refused(harness, tmp_path) -> None:
    if harness.world is not None:
        pytest.skip("a simulated image is read from nowhere")
    shop, outside = tmp_path / "shop", tmp_path / "outside"
    shop.mkdir()
    outside.mkdir()
    (shop / "link.tar").symlink_to(_rooted(outside, "secret"))
    (shop / "folder").symlink_to(outside)
    inside = _rooted(shop, "own")
    (shop / "inside.tar").symlink_to(inside)
    images = dataclasses.replace(harness.runtime.images, access=hostaccess.HostAccess((str(shop),)))

    def config(path: pathlib.Path) -> image.ImageConfig:
        return image.ImageConfig("app", OTHER, image.ArchiveSource(str(path), "1"))

    for path in (shop / "link.tar", shop / "folder/secret.image", shop / "../outside/secret.image"):
        with pytest.raises(errors.InvalidArgument) as raised:
            await images.ensure(config(path), builders.labels_for(config(path)), lambda _: None)
        assert raised.value.reason == "ArchiveNotAdmitted"
    assert OTHER not in await listed(harness)
    admitted = config(shop / "inside.tar")
    assert (await images.ensure(admitted, builders.labels_for(admitted), lambda _: None)).reference == OTHER


def _rooted(folder: pathlib.Path, text: str) -> pathlib.Path:
    """Return an archive of another image, of one file."""
    (folder / text).write_bytes(archives.tar(archives.file("bin/true", text.encode())))
    path = folder / f"{text}.image"
    with path.open("wb") as out:
        docker_archive.of_root(folder / text, OTHER, oci_archives.RootImage(command=("/bin/true",)), 1.0, out)
    return path


USER, PASSWORD = registry.USER, registry.PASSWORD


@pytest.mark.parametrize("part", ["", "/shop", "/shop/app"])
async def test_logins__that_are_declared__are_shown_to_their_registry(harness, tmp_path, part: str) -> None:
    with served(harness, tmp_path, login=True) as address:
        name = guarded(harness, address)
        config = builders.image_config(name)

        async def fetched() -> image.ObservedImage:
            return await harness.runtime.images.ensure(config, builders.labels_for(config), lambda _: None)

        async def assert_denied() -> None:
            with pytest.raises(errors.InvalidArgument) as caught:
                await fetched()
            assert (caught.value.reason, PASSWORD in str(caught.value)) == ("ImagePullDenied", False)

        await assert_denied()
        harness.runtime.images.use((secret.Login(f"{address}{part}", "hub", USER, "wrong"),))
        await assert_denied()
        harness.runtime.images.use((secret.Login(f"{address}/other", "hub", USER, PASSWORD),))
        await assert_denied()
        harness.runtime.images.use((secret.Login(f"{address}{part}", "hub", USER, PASSWORD),))
        assert (await asked(harness, "tags", name), (await fetched()).reference) == (("1",), name)
        if has_content(harness):
            assert await harness.runtime.images.push(name, f"{address}/shop/app:2", lambda _: None)
        await harness.runtime.images.remove(name)
        harness.runtime.images.use(())
        await assert_denied()


def guarded(harness, address: str) -> str:
    """Push an image to a registry that admits only one user, and return its reference."""
    name = f"{address}/shop/app:1"
    if harness.world is not None:
        harness.world.guarded[address] = (USER, PASSWORD)
    else:
        with engines.entered(harness.engine) if harness.engine else contextlib.nullcontext():
            registry.push(harness.archive, name, f"--dest-creds={USER}:{PASSWORD}")
    return name

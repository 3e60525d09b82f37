"""What a runtime does with images that a person moves by hand: each is nobody's, whatever it replaces."""

import contextlib
import io
import pathlib
import tarfile
from collections.abc import Callable, Iterator

import pytest

from agent.model import container
from agent.model.abilities import Ability
from agent.runtime import api, errors
from tests import archives, builders, engines, registry

NAME = "localhost/busybox:latest"
OTHER = "localhost/shop/other:2"
FORMATS = pytest.mark.parametrize("form", list(api.ArchiveFormat))


def has_content(harness) -> bool:
    """Tell whether images have bytes."""
    return Ability.IMAGE_CONTENT not in dict(harness.runtime.features.lacking)


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
    """Give (id, labels) by reference."""
    return {one.reference: (one.id, one.labels) for one in await harness.runtime.images.list()}


async def saved(harness, form: api.ArchiveFormat, *names: str) -> bytes:
    """Save images."""
    out = io.BytesIO()
    await harness.runtime.images.save(names, form, out, lambda _: None)
    return out.getvalue()


@contextlib.contextmanager
def served(harness, folder: pathlib.Path) -> Iterator[str]:
    """Run a registry where the runtime reaches it."""
    with contextlib.ExitStack() as stack:
        with engines.entered(harness.engine) if harness.engine else contextlib.nullcontext():
            address = stack.enter_context(registry.running(folder / "registry"))
        yield address


def kept(folder: pathlib.Path, repository: str, tag: str) -> str:
    """Give the digest that a registry has under a tag."""
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
async def test_save_and_load__several_names__are_the_same_images(harness, tmp_path, form: api.ArchiveFormat) -> None:
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
    harness, form: api.ArchiveFormat
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
        with pytest.raises(errors.RuntimeFailure) as caught:
            await harness.runtime.images.load(str(tmp_path / "missing"), OTHER, lambda _: None)
        is_missing(harness, caught.value)


async def test_import__file_that_is_not_there__not_found(harness, tmp_path) -> None:
    with refused_without_content(harness):
        with pytest.raises(errors.RuntimeFailure) as caught:
            await harness.runtime.images.import_root(str(tmp_path / "missing"), OTHER, api.RootImage(), lambda _: None)
        is_missing(harness, caught.value)


def is_missing(harness, failed: errors.RuntimeFailure) -> None:
    """See that it was a missing file; a simulation's refusal is raised on."""
    if not has_content(harness):
        raise failed
    assert (type(failed), failed.reason) == (errors.NotFound, "ArchiveNotFound")


async def test_import__a_root_file_system__runs_as_it_is_told(harness, tmp_path, packed: Callable[..., bytes]) -> None:
    (tmp_path / "root.tar").write_bytes(packed())
    sleeps = ("/bin/busybox", "sleep", "1000")
    root = api.RootImage(command=sleeps, env=(("A", "b c"),), working_dir="/etc", labels=(("made", "by hand"),))
    with refused_without_content(harness):
        await harness.runtime.images.import_root(str(tmp_path / "root.tar"), OTHER, root, lambda _: None)
        assert (await listed(harness))[OTHER][1] == ()
        identity = await harness.running(builders.config("web", image=OTHER))
        request = api.ExecRequest(("/bin/busybox", "sh", "-c", "echo $A; busybox pwd; busybox cat hi"))
        async with harness.runtime.containers.exec(identity, request) as session:
            output = b"".join([chunk async for _, chunk in session.output()])
        assert output == b"b c\n/etc\nthere\n"
        await harness.runtime.containers.stop(identity, container.StopConfig("SIGKILL", 5.0))


@pytest.fixture(params=["plain", "gzip", "xz"])
def packed(request: pytest.FixtureRequest) -> Callable[[], bytes]:
    """Give the tar of a root file system."""

    def made() -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode={"plain": "w", "gzip": "w:gz", "xz": "w:xz"}[request.param]) as target:
            for entry, data in (
                *(archives.folder(name) for name in ("bin", "dev", "etc", "proc", "sys", "tmp")),
                archives.file("bin/busybox", pathlib.Path("/bin/busybox").read_bytes(), mode=0o755),
                archives.file("etc/hi", b"there\n"),
            ):
                target.addfile(entry, io.BytesIO(data))
        return out.getvalue()

    return made


async def test_push__is_in_the_registry_and_nothing_else_has_changed(harness, tmp_path) -> None:
    before = await listed(harness)
    with refused_without_content(harness), served(harness, tmp_path) as address:
        told = await harness.runtime.images.push(NAME, f"{address}/app:1", lambda _: None)
        assert told == kept(tmp_path, "app", "1")
        assert await listed(harness) == before


async def test_push__target_names_another_image_here__that_keeps_its_name(harness, tmp_path) -> None:
    with refused_without_content(harness), served(harness, tmp_path) as address:
        (tmp_path / "root.tar").write_bytes(archives.tar(archives.folder("bin")))
        target = f"{address}/app:1"
        await harness.runtime.images.import_root(str(tmp_path / "root.tar"), target, api.RootImage(), lambda _: None)
        before = await listed(harness)
        await harness.runtime.images.push(NAME, target, lambda _: None)
        assert kept(tmp_path, "app", "1").startswith("sha256:")
        assert await listed(harness) == before


async def test_push__nobody_listens__is_unavailable_and_nothing_has_changed(harness, tmp_path) -> None:
    before = await listed(harness)
    with served(harness, tmp_path) as address:
        pass
    with refused_without_content(harness):
        with pytest.raises(errors.RuntimeFailure) as caught:
            await harness.runtime.images.push(NAME, f"{address}/app:1", lambda _: None)
        if not has_content(harness):
            raise caught.value
        assert (type(caught.value), caught.value.reason) == (errors.Unavailable, "ImagePushFailed")
    assert await listed(harness) == before


async def test_push__of_no_image__not_found(harness) -> None:
    with pytest.raises(errors.NotFound if has_content(harness) else errors.InvalidArgument):
        await harness.runtime.images.push("localhost/nothing:1", "127.0.0.1:1/x:1", lambda _: None)

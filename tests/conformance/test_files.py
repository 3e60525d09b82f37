"""Copying out of containers and into them: the specification of ``runtime.files``, with hostile links."""

import asyncio
import contextlib
import dataclasses
import io
import pathlib
import tarfile
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.model import container
from agent.model.features import Feature
from agent.reasons import Reason
from agent.runtime import streams
from tests import builders

STOP_NOW = container.StopConfig("SIGKILL", 5.0)
REFUSALS = (errors.Conflict, errors.NotFound, errors.InvalidArgument)


@pytest.fixture(autouse=True)
def _with_files(harness) -> None:
    if Feature.CONTAINER_FILES in dict(harness.runtime.features.unsupported):
        pytest.skip("its containers have no files")


async def of(data: bytes) -> AsyncIterator[bytes]:
    """Return bytes piece by piece."""
    for at in range(0, len(data), 1000):
        yield data[at : at + 1000]


def packed(**files: bytes) -> bytes:
    """Return an archive of files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.gid, entry.mtime = len(data), 0o640, 1234, 4321, 1_000_000
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


async def copied(harness, identity: str, path: str) -> dict[str, bytes | None]:
    """Return the files of an archive that was copied out, by name."""
    async with harness.runtime.containers.copy_out(identity, path) as pieces:
        data = b"".join([piece async for piece in pieces])
    files: dict[str, bytes | None] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            files[entry.name.rstrip("/")] = None if file is None else file.read()
    return files


async def copy_in(harness, identity: str, path: str, **files: bytes) -> None:
    """Copy files in."""
    await harness.runtime.containers.copy_in(identity, path, of(packed(**files)))


async def output(harness, identity: str, script: str) -> bytes:
    """Return what a script in a container writes."""
    async with harness.runtime.containers.exec(identity, streams.ExecRequest(("/bin/sh", "-c", script))) as session:
        written = b"".join([chunk async for _, chunk in session.output()])
        assert await session.wait() == 0, written
    return written


async def test_running__what_is_copied_in__is_there_with_its_owner_and_comes_out_again(harness) -> None:
    identity = await harness.running(harness.config())
    await copy_in(harness, "web", "/tmp", small=b"hello\n", large=b"x" * 300_000)
    assert (
        await output(harness, identity, "cat /tmp/small; stat -c '%u %g %a %Y' /tmp/small")
        == b"hello\n1234 4321 640 1000000\n"
    )
    assert await copied(harness, identity, "/tmp/large") == {"large": b"x" * 300_000}
    files = await copied(harness, identity, "/tmp")
    assert files == {"tmp": None, "tmp/small": b"hello\n", "tmp/large": b"x" * 300_000}


async def test_ended__its_files_come_out__and_what_is_copied_in_is_there_at_the_next_start(harness) -> None:
    script = "test -e /tmp/given && exec sleep 1000; echo mine > /tmp/mine"
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", script)))
    await harness.ended(identity, 0)
    assert await copied(harness, identity, "/tmp/mine") == {"mine": b"mine\n"}
    await copy_in(harness, identity, "/tmp", given=b"given")
    assert await copied(harness, identity, "/tmp/given") == {"given": b"given"}
    await harness.runtime.containers.start(identity)
    assert await output(harness, identity, "cat /tmp/given /tmp/mine") == b"givenmine\n"


async def test_never_run__has_its_images_files__and_takes_more(harness) -> None:
    identity = await harness.create(harness.config())
    assert list(await copied(harness, identity, "/bin/busybox")) == ["busybox"]
    await copy_in(harness, identity, "/tmp", given=b"given")
    await harness.runtime.containers.start(identity)
    assert await output(harness, identity, "cat /tmp/given") == b"given"


async def test_volume__is_part_of_the_tree__also_while_the_container_does_not_run(harness) -> None:
    await harness.runtime.volumes.create(builders.volume_config(), ())
    mounts = (container.VolumeMount("data", "/data", read_only=False),)
    identity = await harness.running(harness.config(mounts=mounts))
    await copy_in(harness, identity, "/data", first=b"1")
    await harness.runtime.containers.stop(identity, STOP_NOW)
    assert await copied(harness, identity, "/data/first") == {"first": b"1"}
    await copy_in(harness, identity, "/data", second=b"2")
    other = await harness.running(harness.config("other", mounts=mounts))
    assert await output(harness, other, "cat /data/first /data/second") == b"12"


async def test_bind__is_part_of_the_tree_of_what_runs(harness, tmp_path: pathlib.Path) -> None:
    (tmp_path / "bound").mkdir()
    (tmp_path / "bound" / "file").write_text("bound")
    mounts = (container.BindMount(str(tmp_path / "bound"), "/host", read_only=False),)
    identity = await harness.running(harness.config(mounts=mounts))
    assert await copied(harness, identity, "/host/file") == {"file": b"bound"}


async def test_bound_file__what_goes_in_its_place__is_refused_and_it_stays(harness, tmp_path: pathlib.Path) -> None:
    bound = tmp_path / "bound"
    bound.write_text("the host's")
    mounts = (container.BindMount(str(bound), "/etc/bound", read_only=True),)
    identity = await harness.running(harness.config(mounts=mounts))
    with pytest.raises(errors.Conflict):
        await copy_in(harness, identity, "/etc", bound=b"x")
    assert await output(harness, identity, "cat /etc/bound") == b"the host's"
    assert bound.read_text() == "the host's"


async def test_link_as_the_path__is_followed_in_the_container(harness) -> None:
    made = "mkdir -p /releases/5; echo five > /releases/5/x; ln -s /releases/5 /current; ln -s current /latest"
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", f"{made}; exec sleep 1000")))
    await _until(harness, identity, "/latest")
    for path in ("/current", "/latest"):
        assert await copied(harness, identity, path) == {"5": None, "5/x": b"five\n"}
    assert await copied(harness, identity, "/latest/x") == {"x": b"five\n"}
    await copy_in(harness, identity, "/latest", y=b"six")
    assert await output(harness, identity, "cat /releases/5/y") == b"six"


async def _until(harness, identity: str, path: str) -> None:
    """Wait until there is something at a path."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(errors.NotFound):
                await copied(harness, identity, path)
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("is_running", [True, False])
async def test_links_that_would_lead_out__lead_to_nothing_of_the_host(
    harness, tmp_path: pathlib.Path, is_running
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("the host's")
    ways = (str(outside), f"../../../../../../../..{outside}", f"/proc/1/root{outside}", f"/proc/self/root{outside}")
    links = "; ".join(f"ln -s {way} /l{number}; ln -s {way}/secret /f{number}" for number, way in enumerate(ways))
    identity = await harness.running(
        harness.config(command=("/bin/sh", "-c", f"{links}; touch /ready; exec sleep 1000"))
    )
    await _until(harness, identity, "/ready")
    if not is_running:
        await harness.runtime.containers.stop(identity, STOP_NOW)
    for number in range(len(ways)):
        for path in (f"/f{number}", f"/l{number}/secret", f"/l{number}"):
            with pytest.raises(REFUSALS):
                await copied(harness, identity, path)
        with pytest.raises(REFUSALS):
            await copy_in(harness, identity, f"/l{number}", planted=b"x")
        with contextlib.suppress(*REFUSALS):
            await copy_in(harness, identity, "/", **{f"l{number}/planted": b"x"})
        await copy_in(harness, identity, "/", **{f"f{number}": b"x"})
        assert await copied(harness, identity, f"/f{number}") == {f"f{number}": b"x"}
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "the host's"


async def test_links_exchanged_meanwhile__never_lead_out(harness, tmp_path: pathlib.Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("the host's")
    script = f"while :; do mkdir /swap; echo own > /swap/secret; rm -r /swap; ln -s {outside} /swap; rm /swap; done"
    identity = await harness.running(harness.config(command=("/bin/sh", "-c", script)))
    for _ in range(5):
        with contextlib.suppress(errors.Failure, tarfile.TarError):
            assert b"the host's" not in (await copied(harness, identity, "/swap")).values()
        with contextlib.suppress(errors.Failure, tarfile.TarError):
            assert b"the host's" not in (await copied(harness, identity, "/swap/secret")).values()
        with contextlib.suppress(errors.Failure):
            await copy_in(harness, identity, "/swap", planted=b"x", secret=b"x")
        with contextlib.suppress(errors.Failure):
            await copy_in(harness, identity, "/", **{"swap/planted": b"x", "swap/secret": b"x"})
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "the host's"


async def test_read_only__is_a_conflict(harness) -> None:
    await harness.runtime.volumes.create(builders.volume_config(), ())
    security = dataclasses.replace(harness.config().security, read_only_rootfs=True)
    mounts = (container.VolumeMount("data", "/data", read_only=True),)
    identity = await harness.running(harness.config(security=security, mounts=mounts))
    for path in ("/www", "/data"):  # Podman has a tmpfs at /tmp then
        with pytest.raises(errors.Conflict):
            await copy_in(harness, identity, path, x=b"x")


async def test_directory_and_file__do_not_replace_each_other(harness) -> None:
    identity = await harness.running(harness.config())
    await copy_in(harness, identity, "/tmp", **{"folder/x": b"x", "file": b"y"})
    with pytest.raises(errors.Conflict):
        await copy_in(harness, identity, "/tmp", folder=b"z")
    with pytest.raises(errors.Conflict):
        await copy_in(harness, identity, "/tmp", **{"file/x": b"z"})
    assert await copied(harness, identity, "/tmp/file") == {"file": b"y"}


async def test_not_there__not_found__and_which_is_missing_is_said(harness) -> None:
    identity = await harness.running(harness.config())
    for wrong in (copied(harness, identity, "/missing"), copy_in(harness, identity, "/missing", x=b"x")):
        with pytest.raises(errors.NotFound) as caught:
            await wrong
        assert caught.value.reason is Reason.PATH_NOT_FOUND
    for absent in (copied(harness, "nobody", "/tmp"), copy_in(harness, "nobody", "/tmp", x=b"x")):
        with pytest.raises(errors.NotFound) as caught:
            await absent
        assert caught.value.reason is not Reason.PATH_NOT_FOUND


async def test_wrong_path_or_archive__invalid_argument(harness) -> None:
    identity = await harness.running(harness.config())
    await copy_in(harness, identity, "/tmp", file=b"x")
    for path in ("tmp", "", "./tmp"):
        with pytest.raises(errors.InvalidArgument):
            await copied(harness, identity, path)
        with pytest.raises(errors.InvalidArgument):
            await copy_in(harness, identity, path, x=b"x")
    with pytest.raises(errors.InvalidArgument):
        await copy_in(harness, identity, "/tmp/file", x=b"x")
    for data in (b"no archive at all", packed(x=b"x" * 4096)[:2000]):
        with pytest.raises(errors.InvalidArgument):
            await harness.runtime.containers.copy_in(identity, "/tmp", of(data))


async def test_archive_that_breaks_behind_a_whole_entry__is_an_invalid_argument(harness) -> None:
    identity = await harness.running(harness.config())
    with pytest.raises(errors.InvalidArgument):
        await harness.runtime.containers.copy_in(identity, "/tmp", of(packed(x=b"x")[:1024] + b"\xff" * 512))


async def test_archive_whose_source_fails__raises_what_that_has_raised(harness) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield packed(x=b"x")[:1024]
        raise errors.TrimtabError("the file cannot be read")

    await harness.running(harness.config())
    with pytest.raises(errors.TrimtabError) as caught:
        await harness.runtime.containers.copy_in("web", "/tmp", failing())
    assert caught.value.message == "the file cannot be read"


async def test_root__is_copied_out_whole__below_one_name(harness) -> None:
    identity = await harness.running(harness.config())
    async with harness.runtime.containers.copy_out(identity, "/") as pieces:
        data = b"".join([piece async for piece in pieces])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
    assert {name.partition("/")[2] for name in names} >= {"", "bin/busybox", "etc"}


@pytest.mark.parametrize("path", ["/tmp/folder", "/tmp/folder/", "/tmp/folder/.", "/tmp/link/.", "/tmp//folder/././"])
async def test_directory__however_it_is_spelt__is_called_by_its_name(harness, path: str) -> None:
    identity = await harness.running(harness.config())
    await copy_in(harness, identity, "/tmp", **{"folder/file": b"x"})
    await output(harness, identity, "ln -s folder /tmp/link")
    assert await copied(harness, identity, path) == {"folder": None, "folder/file": b"x"}
    with pytest.raises(errors.NotFound):
        await copied(harness, identity, "/tmp/folder/file/.")


async def test_left_early__nothing_is_held_up(harness) -> None:
    identity = await harness.running(harness.config())
    await output(harness, identity, "dd if=/dev/zero of=/tmp/large bs=1M count=20 2>/dev/null")
    async with asyncio.timeout(20):
        for _ in range(3):
            async with harness.runtime.containers.copy_out(identity, "/tmp/large") as pieces:
                assert await anext(aiter(pieces))
        assert await output(harness, identity, "echo still here") == b"still here\n"

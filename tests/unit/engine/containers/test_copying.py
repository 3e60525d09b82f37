"""Copying by the process of its own, with this test's own process for a container that runs."""

import asyncio
import dataclasses
import io
import os
import pathlib
import tarfile
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.drivers.native import translate
from agent.engine import layout
from agent.engine.containers import copying, table
from agent.engine.shim import liveness
from agent.oci import image_config, platform
from tests import builders


def record(pid: int | None = None) -> table.ContainerRecord:
    """Return the record of a container that runs as a process of this host."""
    pid = os.getpid() if pid is None else pid
    run = table.Run("", pid, liveness.start_time(pid), pid, None, ())
    return table.ContainerRecord(
        id="1",
        name="web",
        spec=translate.container_spec(builders.config(), ()),
        image_id="sha256:1",
        image_config=image_config.ImageConfig(platform.Platform("linux", "", ""), (), (), (), "", "", "", (), (), ()),
        lower_dirs=(),
        stop_signal="SIGTERM",
        phase=table.Phase.RUNNING,
        created_at=1.0,
        run=run,
    )


@pytest.fixture
def deps(tmp_path: pathlib.Path) -> copying.Deps:
    """Collaborators; only what does not run needs them."""
    return copying.Deps(where=layout.of(tmp_path / "root", tmp_path / "run"), volume=pathlib.Path)


async def pieces_of(data: bytes) -> AsyncIterator[bytes]:
    """Return bytes piece by piece."""
    for at in range(0, len(data), 50_000):
        yield data[at : at + 50_000]


async def test_out_and_into__more_than_a_pipe_holds__arrives_whole(deps: copying.Deps, tmp_path: pathlib.Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "large").write_bytes(os.urandom(1_000_000))
    async with copying.out(deps, record(), str(source)) as pieces:
        data = b"".join([piece async for piece in pieces])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == ["source", "source/large"]
    await copying.into(deps, record(), str(target), pieces_of(data))
    assert (target / "source" / "large").read_bytes() == (source / "large").read_bytes()


async def test_out__what_is_not_there__is_said_before_the_first_piece(
    deps: copying.Deps, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(errors.NotFound, match="in container web") as caught:
        async with copying.out(deps, record(), str(tmp_path / "missing")):
            pytest.fail("it was opened")
    assert caught.value.reason == "PathNotFound"


async def test_into__refused_while_much_is_still_to_come__says_why(deps: copying.Deps, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.InvalidArgument, match="is no directory"):
        await copying.into(deps, record(), str(tmp_path / "file"), pieces_of(bytes(2_000_000)))


async def test_into__no_archive__is_an_invalid_argument(deps: copying.Deps, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InvalidArgument, match="no tar archive"):
        await copying.into(deps, record(), str(tmp_path), pieces_of(b"words"))


async def test_into__refused_while_nothing_comes__says_why(deps: copying.Deps, tmp_path: pathlib.Path) -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield b""
        await asyncio.Event().wait()

    with pytest.raises(errors.NotFound, match="missing in container web"):
        await copying.into(deps, record(), str(tmp_path / "missing"), silent())


async def test_into__its_source_fails__ends_the_process(deps: copying.Deps, tmp_path: pathlib.Path) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"x" * 100
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await copying.into(deps, record(), str(tmp_path), failing())
    children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert not [pid for pid in children if b"copy_process" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_out__left_early__ends_the_process(deps: copying.Deps, tmp_path: pathlib.Path) -> None:
    (tmp_path / "large").write_bytes(bytes(1_000_000))
    async with copying.out(deps, record(), str(tmp_path / "large")) as pieces:
        assert await anext(aiter(pieces))
    children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert not [pid for pid in children if b"copy_process" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_out__the_pid_is_another_process_by_now__conflict(deps: copying.Deps) -> None:
    ended = record()
    assert ended.run is not None
    other = table.Run("", os.getpid(), 1, os.getpid(), None, ())
    with pytest.raises(errors.Conflict) as caught:
        async with copying.out(deps, dataclasses.replace(ended, run=other), "/"):
            pytest.fail("it was opened")
    assert caught.value.reason == "NotRunning"

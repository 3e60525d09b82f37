"""What is bound or loaded may be on a network file system whose server is away: that holds up nobody else."""

import asyncio
import pathlib
from collections.abc import Awaitable, Callable

import pytest

from agent import errors
from agent.kit import lookups
from agent.model import container, hostaccess, image
from agent.runtime import admitted
from tests import hung_mounts

pytestmark = pytest.mark.root

Check = Callable[[hostaccess.HostAccess, pathlib.Path], Awaitable[None]]


async def check_binds(access: hostaccess.HostAccess, path: pathlib.Path) -> None:
    await admitted.check_binds(access, [container.BindMount(str(path), "/data", read_only=True)])


async def hold_binds(access: hostaccess.HostAccess, path: pathlib.Path) -> None:
    async with admitted.held_binds(access, [container.BindMount(str(path), "/data", read_only=True)]) as held:
        assert held is not None
        assert (held[str(path)] is not None) == path.exists()


async def check_archive(access: hostaccess.HostAccess, path: pathlib.Path) -> None:
    await admitted.check_archive(access, str(path))


async def check_build(access: hostaccess.HostAccess, path: pathlib.Path) -> None:
    await admitted.check_build(access, image.BuildSource(str(path), str(path / "Dockerfile"), "1"))


@pytest.mark.parametrize(
    ("check", "what"),
    [
        (check_binds, "bind source"),
        (hold_binds, "bind source"),
        (check_archive, "image archive"),
        (check_build, "build context"),
    ],
    ids=["check", "hold", "archive", "build"],
)
async def test_check__a_file_system_does_not_answer__is_told_and_leaves_all_threads_free(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, check: Check, what: str
) -> None:
    monkeypatch.setattr(admitted, "_LOOKUPS", lookups.Lookups(0.2))
    access = hostaccess.HostAccess((str(tmp_path),))
    with hung_mounts.hung(tmp_path / "nfs") as mount:
        for _ in range(40):  # more than the loop has threads for everything
            with pytest.raises(errors.Unavailable, match=rf"of {what} .*/nfs does not answer .*: stat "):
                await check(access, mount)
        async with asyncio.timeout(60):
            assert await asyncio.to_thread(str, 1) == "1"
        await check(access, tmp_path / "file")
        (tmp_path / "file").touch()
        await check(access, tmp_path / "file")


async def test_check__of_roots_that_do_not_answer__concerns_only_what_is_bound(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admitted, "_LOOKUPS", lookups.Lookups(0.2))
    with hung_mounts.hung(tmp_path / "nfs") as mount:
        access = hostaccess.HostAccess((str(mount / "root"),))
        with pytest.raises(errors.Unavailable, match="does not answer"):
            await admitted.check_binds(access, [container.BindMount(str(tmp_path), "/data", read_only=True)])
        await admitted.check_binds(access, [])
        async with admitted.held_binds(access, []) as held:
            assert held == {}

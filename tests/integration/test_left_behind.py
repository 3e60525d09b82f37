"""What cannot be removed is said, and removed as soon as it can be. A mount stands for all that may be in the way."""

import contextlib
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from agent.distribution.registry import client
from agent.drivers.docker import driver
from agent.engine import engine, layout, records
from agent.engine.images import images
from agent.engine.layers import growing_file
from agent.kit import notices
from tests import archives
from tests.unit.drivers.docker import http_engine
from tests.unit.kit import test_notices

pytestmark = pytest.mark.root
LAYER = archives.tar(archives.folder("d"), archives.file("d/f", b"content"))


@contextlib.contextmanager
def _mounted_in(directory: pathlib.Path) -> Iterator[None]:
    """Mount something in a directory; leaving takes the mount away, wherever the directory is by then."""
    target = directory / "in-the-way"
    target.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", target], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", target], check=True)


@pytest.fixture
def register() -> notices.Register:
    return notices.Register(test_notices.Clock(), lambda _: None)


async def _retried(register: notices.Register) -> tuple[notices.Notice, ...]:
    register._clock.at += 3600.0  # type: ignore[attr-defined]
    await register._try_due()
    return register.all()


async def test_layer__that_is_given_up_and_cannot_be_removed__is_said_until_it_is(
    tmp_path: pathlib.Path, register: notices.Register
) -> None:
    async with archives.opened(tmp_path, register=register) as store:
        blob = tmp_path / "layer"
        blob.write_bytes(LAYER)
        with contextlib.ExitStack() as stack:
            with growing_file.complete(blob) as packed:
                unpacking = store.snapshots.unpacked(archives.digest(LAYER), packed, len(LAYER))
                async with unpacking as unpacked:
                    stack.enter_context(_mounted_in(unpacked.temporary))
            (notice,) = register.all()
            assert (notice.reason, notice.subject) == ("CleanUpFailed", f"layer {unpacked.temporary.name}")
            assert [notice.attempts for notice in await _retried(register)] == [2]
        assert await _retried(register) == ()
        assert store.snapshots.strangers() == []


async def test_images__that_are_pruned_and_cannot_be_removed__are_said_until_they_are(
    tmp_path: pathlib.Path, register: notices.Register
) -> None:
    where = layout.of(tmp_path / "root", tmp_path / "run")
    where.prepare()
    path = archives.stored(tmp_path / "image.tar", archives.image(LAYER), "archive")
    with contextlib.closing(records.Database(where.records, engine.SCHEMAS)) as database:
        async with client.RegistryClient() as registry:
            rooms = engine.join_images(where, engine.Options(), registry, database, register=register)
            await images.Images(rooms).load(path, "localhost/image:1", (), lambda _: None)
            (layer,) = where.snapshots.iterdir()
            with _mounted_in(layer):
                assert await rooms.collector.prune() == ("localhost/image:1",)
                (notice,) = register.all()
                assert (notice.reason, notice.subject) == ("CleanUpFailed", f"content {layer.name}")
            assert await _retried(register) == ()
            assert list(where.snapshots.iterdir()) == []


async def test_docker__archives_of_an_earlier_run_cannot_be_removed__is_said(tmp_path: pathlib.Path) -> None:
    instance = driver.Instance("test1", tmp_path / "docker.json")
    async with http_engine.serving(tmp_path / "engine.sock") as served:
        with _mounted_in(tmp_path / "archives"):
            async with driver.open_runtime(served.where, instance) as runtime:
                (notice,) = runtime.notices()
                assert (notice.reason.value, notice.subject) == ("CleanUpFailed", "directory archives")
        async with driver.open_runtime(served.where, instance) as runtime:
            assert runtime.notices() == ()
        assert not (tmp_path / "archives").exists()

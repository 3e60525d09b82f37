"""What the engine may expect of a volume driver, whichever it is."""

import os
import pathlib
from collections.abc import Callable

import pytest

from agent.engine.volumes import driver, local, seed

pytestmark = pytest.mark.root
DRIVERS: dict[str, Callable[[pathlib.Path], driver.VolumeDriver]] = {local.NAME: local.LocalDriver}


@pytest.fixture(params=sorted(DRIVERS))
def volumes(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> driver.VolumeDriver:
    return DRIVERS[request.param](tmp_path)


def test_create__is_an_empty_directory_that_any_user_may_enter(volumes: driver.VolumeDriver) -> None:
    before = os.umask(0o077)
    try:
        volumes.create("data")
    finally:
        os.umask(before)
    path = volumes.path("data")
    assert (path.is_absolute(), list(path.iterdir()), path.stat().st_mode & 0o777) == (True, [], 0o755)


@pytest.mark.parametrize("call", ["create", "recover"])
def test_create_and_recover__again__keep_what_is_in_there(volumes: driver.VolumeDriver, call: str) -> None:
    volumes.create("data")
    (volumes.path("data") / "file").write_text("kept")
    getattr(volumes, call)("data")
    assert (volumes.path("data") / "file").read_text() == "kept"


def test_path__of_several_volumes__is_a_directory_of_its_own_each_with_room_beside_it(
    volumes: driver.VolumeDriver,
) -> None:
    for name in ("a", "b"):
        volumes.create(name)
    first, second = volumes.path("a"), volumes.path("b")
    assert first.parent != second.parent
    assert first.stat().st_dev == first.parent.stat().st_dev
    (first.parent / "beside").write_text("moved in")
    (first.parent / "beside").rename(first / "file")
    assert list(second.iterdir()) == []


def test_recover__data_has_disappeared__is_not_made_anew(volumes: driver.VolumeDriver) -> None:
    volumes.create("data")
    volumes.path("data").rmdir()
    volumes.recover("data")
    assert not volumes.path("data").exists()


def test_recover__a_copy_was_cut_short__is_finished(volumes: driver.VolumeDriver) -> None:
    volumes.create("data")
    path = volumes.path("data")
    (path.with_name(seed._COMPLETE)).mkdir()
    (path.with_name(seed._COMPLETE) / "file").write_text("from the image")
    (path.with_name("seed-0123")).mkdir()
    volumes.recover("data")
    assert (path / "file").read_text() == "from the image"
    assert list(path.parent.iterdir()) == [path]


def test_remove__with_what_is_beside_it__and_again__leaves_nothing(
    volumes: driver.VolumeDriver, tmp_path: pathlib.Path
) -> None:
    volumes.create("data")
    (volumes.path("data") / "file").write_text("gone")
    (volumes.path("data").parent / "seed-0123").mkdir()
    for _ in range(2):
        volumes.remove("data")
        assert list(tmp_path.iterdir()) == []
    volumes.create("data")
    assert list(volumes.path("data").iterdir()) == []

"""Room that is kept for the moment when a disk is full: given up piece by piece, made again where there is plenty."""

import os
import pathlib
import subprocess
from collections.abc import Callable, Iterator

import pytest

from agent.kit import reserve
from tests import full_disks


@pytest.fixture
def small(tmp_path: pathlib.Path) -> Iterator[Callable[[str], pathlib.Path]]:
    """Return a file system of its own, with options."""
    mounted: list[pathlib.Path] = []

    def mount(options: str) -> pathlib.Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "trimtab-test", folder], check=True)
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.root
def test_spend__a_full_disk__gives_up_piece_by_piece(small: Callable[[str], pathlib.Path]) -> None:
    disk = small("size=64m")
    disk_reserve = reserve.Reserve(disk / "reserve")
    disk_reserve.restore()
    assert not disk_reserve.spend(), "there is room"
    for _ in range(reserve.PIECES):
        full_disks.fill(disk)
        assert os.statvfs(disk).f_bavail == 0
        assert disk_reserve.spend()
        assert os.statvfs(disk).f_bavail * 4096 >= 100_000
        (disk / "record").write_bytes(bytes(100_000))
    full_disks.fill(disk)
    assert not disk_reserve.spend(), "there is nothing left of it"
    disk_reserve.restore()
    assert not (disk / "reserve" / "0").exists(), "nor is there room for it"
    for filler in disk.glob("filler-*"):
        filler.unlink()
    disk_reserve.restore()
    assert len(list((disk / "reserve").iterdir())) == reserve.PIECES


@pytest.mark.root
def test_spend__no_inodes__gives_up_files(small: Callable[[str], pathlib.Path]) -> None:
    disk = small("size=64m,nr_inodes=400")
    disk_reserve = reserve.Reserve(disk / "reserve")
    disk_reserve.restore()
    full_disks.use_inodes(disk)
    with pytest.raises(OSError, match="No space left"):
        (disk / "record").touch()
    assert disk_reserve.spend(leave=1)
    for number in range(reserve.INODES):
        (disk / f"record-{number}").touch()


@pytest.mark.root
def test_spend__leaves_what_it_is_told_to(small: Callable[[str], pathlib.Path]) -> None:
    disk = small("size=64m")
    disk_reserve = reserve.Reserve(disk / "reserve")
    disk_reserve.restore()
    full_disks.fill(disk)
    assert disk_reserve.spend(leave=reserve.PIECES - 1)
    full_disks.fill(disk)
    assert not disk_reserve.spend(leave=reserve.PIECES - 1)


def test_restore__where_nothing_can_be_written__does_nothing(tmp_path: pathlib.Path) -> None:
    disk_reserve = reserve.Reserve(tmp_path / "nowhere" / "reserve")
    disk_reserve.restore()
    assert not disk_reserve.spend()

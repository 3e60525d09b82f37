"""Names of block devices, by their numbers on this host."""

import pathlib

import pytest

from agent.engine.cgroups import block_io


def test_name__of_each_device_of_this_host__is_its_own() -> None:
    numbers = {path.name: (path / "dev").read_text().strip() for path in pathlib.Path("/sys/class/block").iterdir()}
    assert numbers
    assert {block_io.device_name(number) for number in numbers.values()} == {
        f"/dev/{name.replace('!', '/')}" for name in numbers
    }


@pytest.mark.parametrize("numbers", ["4093:77", "Total", "", "../../etc/passwd", "8:0\0"])
def test_name__of_what_is_no_device_here__is_the_numbers(numbers: str) -> None:
    assert block_io.device_name(numbers) == numbers

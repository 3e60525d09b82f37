"""Writing to open files."""

import os
import pathlib

import pytest

from agent.kit import files


@pytest.mark.parametrize("size", [0, 1, files.PIECE, 3 * files.PIECE + 1])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_write_all__of_any_size__is_all_there(tmp_path: pathlib.Path, size: int, kind) -> None:
    data = os.urandom(size)
    with (tmp_path / "file").open("wb") as file:
        files.write_all(file.fileno(), kind(data))
    assert (tmp_path / "file").read_bytes() == data


def test_write_all__the_disk_takes_a_part_each_time__is_all_there_in_small_pieces(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, asked, write = os.urandom(3 * files.PIECE), [], os.write

    def part(descriptor: int, piece: memoryview) -> int:
        asked.append(len(piece))
        return write(descriptor, piece[: 1 + len(piece) // 2])

    monkeypatch.setattr(os, "write", part)
    with (tmp_path / "file").open("wb") as file:
        files.write_all(file.fileno(), data)
    assert (tmp_path / "file").read_bytes() == data
    assert max(asked) == files.PIECE

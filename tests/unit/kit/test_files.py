"""Reading and writing open files, and telling them apart."""

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


def _identity(path: pathlib.Path) -> tuple[int, int]:
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_ino, files.generation(file.fileno())


def test_generation__a_file_with_the_number_of_a_removed_one__is_another(tmp_path: pathlib.Path) -> None:
    path, identities = tmp_path / "file", set()
    for number in range(20):
        path.write_text(str(number))
        identities.add(_identity(path))
        path.write_text("changed")
        assert _identity(path) in identities
        path.unlink()
    numbers, generations = (set(part) for part in zip(*identities, strict=True))
    assert len(identities) == 20 or generations == {0}, f"{len(numbers)} numbers of inodes"


def test_generation__where_there_is_none__is_0() -> None:
    with pathlib.Path("/proc/self/status").open("rb") as file:
        assert files.generation(file.fileno()) == 0

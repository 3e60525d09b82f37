"""Which files are manifests, and reading hostile ones."""

import os
import pathlib

import pytest

from agent.sources import files


@pytest.mark.parametrize("name", ["web.yaml", "web.yml", "web.json", "a.b.yaml", "WEB-2.yaml"])
def test_is_manifest__the_suffixes__are_read(name: str) -> None:
    assert files.is_manifest(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            ".web.yaml",
            "web.yaml~",
            ".web.yaml.swp",
            "#web.yaml#",
            ".#web.yaml",
            "4913",
            "web.yaml.tmp",
            "web.yaml.bak",
        ),
        *("web.yaml.orig", "README.md", "web", "yaml", ".yaml", "web.tar"),
    ],
)
def test_is_manifest__hidden_files_and_what_editors_leave__are_not_read(name: str) -> None:
    assert not files.is_manifest(name)


def test_is_volume_switch__a_config_map_mount__is_known_by_two_dots() -> None:
    assert files.is_volume_switch("..data")
    assert files.is_volume_switch("..2026_01_01_10_00_00.123456")
    assert not files.is_volume_switch("..")
    assert not files.is_volume_switch(".git")


def test_read__a_file__gives_its_bytes(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\0\xff")
    assert files.read(tmp_path / "a.yaml") == (b"\0\xff", "")


def test_read__too_large__is_not_read_and_says_what_to_do(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    data, problem = files.read(path)
    assert data == b""
    assert problem == "the file is too large: 100.0 MiB, the limit is 8 MiB; split it into several files"


def test_read__a_fifo__does_not_block(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    assert files.read(tmp_path / "a.yaml") == (b"", "this is not a regular file")


def test_read__an_endless_device__is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").symlink_to("/dev/zero")
    assert files.read(tmp_path / "a.yaml") == (b"", "this is not a regular file")


def test_read__a_dangling_symlink__is_a_problem_and_not_an_absence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").symlink_to("nowhere")
    assert files.read(tmp_path / "a.yaml") == (b"", "this symlink points to nothing")


def test_read__a_symlink_to_itself__is_a_problem(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").symlink_to("a.yaml")
    assert files.read(tmp_path / "a.yaml") == (b"", "this symlink leads round in a circle")


def test_read__a_missing_file__raises(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / "a.yaml")

"""Which files are manifests, and reading hostile ones."""

import os
import pathlib
import time

import pytest

from agent.kit import writers
from agent.sources import files


def _read(path: pathlib.Path) -> tuple[bytes, str]:
    reading = files.read(path, writers.Writers(), None, time.time())
    return reading.data, reading.problem


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
    assert _read(tmp_path / "a.yaml") == (b"\0\xff", "")


def test_read__too_large__is_not_read_and_says_what_to_do(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    data, problem = _read(path)
    assert data == b""
    assert problem == "the file is too large: 100.0 MiB, the limit is 8 MiB; split it into several files"


def test_read__a_fifo__does_not_block(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    assert _read(tmp_path / "a.yaml") == (b"", "this is not a regular file")


def test_read__an_endless_device__is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").symlink_to("/dev/zero")
    assert _read(tmp_path / "a.yaml") == (b"", "this is not a regular file")


def test_read__a_dangling_symlink__is_a_problem_and_not_an_absence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").symlink_to("nowhere")
    assert _read(tmp_path / "a.yaml") == (b"", files.DANGLING)


def test_read__a_symlink_to_itself__is_a_problem(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").symlink_to("a.yaml")
    assert _read(tmp_path / "a.yaml") == (b"", "this symlink leads round in a circle")


def test_read__a_missing_file__raises(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError):
        _read(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    "target", ["/proc/self/environ", "/proc/kmsg", "/proc/self/status", "/sys/kernel/uevent_seqnum"]
)
def test_read__a_file_that_the_kernel_makes_up__is_a_problem_of_its_own(tmp_path: pathlib.Path, target: str) -> None:
    (tmp_path / "a.yaml").symlink_to(target)
    data, problem = _read(tmp_path / "a.yaml")
    assert data == b""
    assert problem in {"this is a file that the kernel makes up: it is not read", "cannot be read: permission denied"}


def test_read__what_is_no_regular_file__is_never_opened_for_reading(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    really_open = os.open

    def noting_open(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened.append(flags)
        return really_open(path, flags, mode, dir_fd=dir_fd)

    (tmp_path / "a.yaml").symlink_to("/dev/zero")
    monkeypatch.setattr(os, "open", noting_open)
    assert _read(tmp_path / "a.yaml") == (b"", "this is not a regular file")
    assert [flags for flags in opened if not flags & os.O_PATH] == []

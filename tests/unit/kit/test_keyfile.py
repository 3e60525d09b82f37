"""A random key in a file."""

import os
import pathlib
import stat

from agent.kit import keyfile


def test_key__first_use__is_made_for_its_owner_only_and_stays(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "key"
    assert keyfile.read(path) == b""
    key = keyfile.read_or_create(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keyfile.read(path) == keyfile.read_or_create(path) == key


def test_key__of_two_files__differ(tmp_path: pathlib.Path) -> None:
    assert keyfile.read_or_create(tmp_path / "a") != keyfile.read_or_create(tmp_path / "b")


def test_key__damaged__is_made_anew(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"short")
    assert keyfile.read(path) == b""
    key = keyfile.read_or_create(path)
    assert path.read_bytes() == key


def test_key__fifo_in_its_place__is_not_waited_for(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "key")
    assert keyfile.read(tmp_path / "key") == b""


def test_key__cannot_be_written__is_one_for_this_process(tmp_path: pathlib.Path) -> None:
    assert len(keyfile.read_or_create(tmp_path / "missing" / "key")) == 32

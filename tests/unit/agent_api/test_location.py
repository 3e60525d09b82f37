"""Whether two SOURCEs are the same."""

import os
import pathlib

import pytest

from agent.agent_api import location


def test_identity__of_a_relative_path__is_absolute_and_through_its_links(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert location.identity("link/x/..") == f"{tmp_path}/link"
    assert location.identity("git+https://me:secret@example.org/x#main") == "git+https://example.org/x#main"


def test_is_same__paths_that_lead_to_one_place__are(tmp_path: pathlib.Path) -> None:
    folder, link, other = tmp_path / "m", tmp_path / "link", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    link.symlink_to(folder)
    (tmp_path / "twice").symlink_to(link)
    (folder / "web.yaml").touch()
    for first, second in [(folder, link), (link, tmp_path / "twice"), (folder / "web.yaml", link / "web.yaml")]:
        assert location.is_same(str(first), str(second))
        assert location.is_same(str(second), str(first))
    assert not location.is_same(str(folder), str(other))
    assert not location.is_same(str(folder), str(folder / "web.yaml"))
    link.unlink()
    link.symlink_to(other)
    assert not location.is_same(str(folder), str(link)), "it leads elsewhere now"


def test_is_same__paths_that_are_not_there__go_by_their_text(tmp_path: pathlib.Path) -> None:
    assert location.is_same(f"{tmp_path}/gone", f"{tmp_path}/gone")
    assert not location.is_same(f"{tmp_path}/gone", f"{tmp_path}/lost")
    assert not location.is_same("/a\0b", "/a")


def test_is_same__a_repository__is_only_itself(tmp_path: pathlib.Path) -> None:
    text = f"git+file://{tmp_path}"
    assert location.is_same(text, text)
    assert not location.is_same(text, str(tmp_path))
    assert not location.is_same(f"git+{os.sep}x", f"git+{os.sep}.{os.sep}x")

"""Stamps of archives."""

import os
import pathlib

from agent.sources import api


def test_stamp__a_rewritten_archive__differs(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"1")
    before = api.stamp([str(path)])
    os.utime(path, ns=(1, 1))
    assert api.stamp([str(path)])[str(path)] not in {"", before[str(path)]}


def test_stamp__an_oci_layout__is_known_by_its_index(tmp_path: pathlib.Path) -> None:
    (tmp_path / "index.json").write_text("{}")
    assert api.stamp([str(tmp_path)])[str(tmp_path)].startswith("2-")


def test_stamp__a_missing_archive__is_empty() -> None:
    assert api.stamp(["/nowhere/a.tar"]) == {"/nowhere/a.tar": ""}

"""State of a newer release is refused with a way out, whichever file says that it is one."""

import json
import pathlib

import pytest

import agent
from agent.kit import state_format


def _stamp(root: pathlib.Path, text: str) -> None:
    (root / "instance.json").write_text(text)


@pytest.mark.parametrize("number", [None, 0, 1, "2", 1001, 2**31])
def test_check__known_or_a_damage__passes(tmp_path: pathlib.Path, number: object) -> None:
    assert state_format.check(tmp_path / "file", number) is None


def test_check__a_higher_format__names_the_file_both_releases_and_the_way_out(tmp_path: pathlib.Path) -> None:
    _stamp(tmp_path, '{"release": "9.1.0"}')
    with pytest.raises(state_format.NewerState) as refusal:
        state_format.check(tmp_path / "docker.json", 2)
    assert refusal.value.message == (
        f"{tmp_path}/docker.json is state of trimtab 9.1.0, this is trimtab {agent.__version__}:"
        " it has format 2, and this release reads formats up to 1"
    )
    assert refusal.value.hint == "upgrade to trimtab 9.1.0, or give another --root; containers keep running meanwhile"


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"release": 1}', f'{{"release": "{agent.__version__}"}}'])
def test_newer__nothing_says_by_which_release__is_told_all_the_same(tmp_path: pathlib.Path, text: str) -> None:
    _stamp(tmp_path, text)
    assert "is state of a newer trimtab, this is" in str(state_format.newer(tmp_path / "file", "why"))


@pytest.mark.parametrize(
    ("release", "newer"), [("0.0.9", False), (agent.__version__, False), ("0.1.10", True), ("10.0.0", True)]
)
def test_is_newer__by_the_stamp_of_the_root(tmp_path: pathlib.Path, release: str, newer: bool) -> None:
    assert not state_format.is_newer(tmp_path / "file")
    _stamp(tmp_path, json.dumps({"release": release}))
    assert state_format.is_newer(tmp_path / "file") is newer
    assert state_format.latest(release) == (release if newer else agent.__version__)

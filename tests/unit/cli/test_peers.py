"""Words of docker, kubectl, terraform and others, and misspelt ones: each is answered with what to type."""

import pathlib
import re

import pytest

from agent.cli import commands, main, peers

_QUOTED = re.compile(r"\btrimtab ([a-z]+)(?: ([a-z]+))?")
_GROUPS = {entry.name for entry in commands.ENTRIES if entry.is_group}


@pytest.mark.parametrize("word", sorted(peers._WORDS))
def test_word__of_a_peer__is_answered_with_a_command_that_is_there(
    word: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = {entry.name: entry for entry in commands.ENTRIES}
    instead = peers.suggestion("trimtab", word, list(entries))
    for name, part in _QUOTED.findall(instead):
        assert name in entries
        assert name not in _GROUPS or part in commands.load(entries[name]).commands
    assert main.main(["--root", str(tmp_path), *word.split()]) == 64
    shown = capsys.readouterr().err.splitlines()
    assert shown[0].startswith("error: trimtab ")
    assert shown[1].startswith(" hint: ")
    assert shown[1].replace(f"--root {tmp_path} ", "") == f" hint: {instead}"


@pytest.mark.parametrize(
    ("words", "way_out"),
    [
        (["ps"], "trimtab status prints how everything is"),
        (["PS"], "trimtab status prints how everything is"),
        (["stauts"], "did you mean trimtab status or trimtab restart?"),
        (["image", "lss"], "did you mean trimtab image ls?"),
        (["image", "pull"], "declare the image (trimtab explain image), and it is pulled"),
        (["image", "nonsense"], "trimtab image --help lists the commands"),
        (["nonsense"], "trimtab --help lists the commands"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_word__that_is_no_command__has_a_hint(
    words: list[str], way_out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(words) == 64
    assert capsys.readouterr().err.splitlines()[1] == f" hint: {way_out}"


def test_word__flags_before_it__are_in_the_hint(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--root", str(tmp_path), "down"]) == 64
    assert f" hint: trimtab --root {tmp_path} delete SOURCE removes" in capsys.readouterr().err
    assert main.main(["--runtime", "none-such", "ps"]) == 64
    assert capsys.readouterr().err.endswith(" hint: trimtab status prints how everything is\n")

"""What ``suspend`` and ``resume`` are asked for: by name or, in so many words, for all."""

import pathlib

import pytest

from agent.cli import main


@pytest.mark.parametrize("verb", ["suspend", "resume"])
@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([], "or give --all for the source with all that it declares"),
        (["--all", "web"], "--all goes without names"),
    ],
    ids=["neither name nor --all", "both"],
)
def test_names__are_not_plain__is_refused_before_anything_is_asked(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], verb: str, words: list[str], hint: str
) -> None:
    places = ["--root", str(tmp_path / "root"), "--run-dir", str(tmp_path / "run")]
    assert main.main([*places, verb, *words]) == 64
    assert hint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

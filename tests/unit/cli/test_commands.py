"""The commands by name: each is there, is said in a line, and is imported only once it is typed."""

import os
import pathlib
import subprocess
import sys

import pytest

from agent.cli import commands, main

_COLUMNS = 80


@pytest.mark.parametrize("entry", commands.ENTRIES, ids=lambda entry: entry.name)
def test_entry__is_there_and_fits_a_line(entry: commands.Entry) -> None:
    command = commands.load(entry)
    assert command.name in {entry.name, ""}
    assert command.help
    width = max(len(other.name) for other in commands.ENTRIES)
    assert 2 + width + 2 + len(entry.summary) < _COLUMNS - 2
    assert not entry.summary.endswith(".")


@pytest.mark.parametrize(
    ("flag", "path"),
    [
        (["--install-completion", "zsh"], ".zfunc/_trimtab"),
        (["--install-completion=fish"], ".config/fish/completions/trimtab.fish"),
    ],
    ids=["zsh", "fish"],
)
def test_completion__of_a_named_shell__is_installed_whatever_shell_runs(
    tmp_path: pathlib.Path, flag: list[str], path: str
) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "SHELL": "/bin/bash"}
    completed = subprocess.run(
        [sys.executable, "-m", "agent", *flag], env=environment, capture_output=True, text=True, timeout=15, check=True
    )
    assert f"completion installed in {tmp_path / path}\n" in completed.stdout
    assert "trimtab" in (tmp_path / path).read_text()
    assert not (tmp_path / ".bashrc").exists()


def test_completion__of_no_shell__names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--show-completion", "csh"]) == 64
    assert "--show-completion: 'csh' is none of bash, zsh, fish" in capsys.readouterr().err
    assert main.main(["--show-completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef trimtab\n")

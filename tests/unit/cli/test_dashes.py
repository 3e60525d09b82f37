"""Options as users of other programs type them."""

import pathlib

import click
import pytest

from agent.cli import commands, dashes, main
from tests.unit.cli import test_help


def plain(name: str, *words: str) -> list[str]:
    """Return the words behind a command as click gets them."""
    entry = next(entry for entry in commands.ENTRIES if entry.name == name)
    command = commands.load(entry)
    parameters = command.get_params(click.Context(command))
    return dashes.plain(words, parameters, interspersed=not entry.takes_program)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-o=json"], ["-o", "json"]),
        (["-o="], ["-o", ""]),
        (["-o==x"], ["-o", "=x"]),
        (["-ojson"], ["-ojson"]),
        (["-o", "json"], ["-o", "json"]),
        (["--output=json"], ["--output=json"]),
        (["web", "-w", "-o=json", "db"], ["web", "-w", "-o", "json", "db"]),
        (["-wo=json"], ["-wo", "json"]),
        (["--output", "-o=json"], ["--output", "-o=json"]),  # it is a value, as click takes it
        (["-o", "-o=json"], ["-o", "-o=json"]),
        (["--root", "-out", "x"], ["--root", "-out", "x"]),
        (["--", "-o=json"], ["--", "-o=json"]),
        (["-"], ["-"]),
        (["-x=json"], ["-x=json"]),
        (["a=b", "--unknown=-o=c"], ["a=b", "--unknown=-o=c"]),
        ([], []),
        (["-o"], ["-o"]),
    ],
    ids=lambda words: " ".join(words) or "none",
)
def test_plain__an_equals_sign_behind_a_letter__stands_between_option_and_value(
    words: list[str], expected: list[str]
) -> None:
    assert plain("status", *words) == expected


def test_plain__another_programs_arguments__are_its_own() -> None:
    words = ["-u=root", "web", "tar", "-o=x", "-output", "--", "-n=1"]
    assert plain("exec", *words) == ["-u", "root", *words[1:]]


@pytest.mark.parametrize(
    ("words", "way_out"),
    [
        (["plan", "-out=X", "m"], "there is no option -out: write -o X"),
        (["plan", "m", "-out", "X"], "there is no option -out: write -o X"),
        (["plan", "-out"], "there is no option -out: write -o VALUE"),
        (["plan", "-output.plan"], "there is no option -output.plan: write -o VALUE"),
        (["status", "-output", "json"], "there is no option -output: write -o json"),
        (["status", "-watch"], "there is no option -watch: write -w"),
        (["logs", "-tail=5", "web"], "there is no option -tail: write -n 5"),
        (["exec", "-env=A=b", "web", "true"], "there is no option -env: write -e A=b"),
        (["restart", "-timeout", "5s", "web"], "there is no option -timeout: write --timeout 5s"),
        (["status", "-root", "/r"], "there is no option -root: write --root /r"),
        (["-root", "/r", "status"], "there is no option -root: write --root /r"),
        (["image", "-help"], "there is no option -help: write -h"),
        (["image", "ls", "-output=json"], "there is no option -output: write -o json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_single_dash__before_a_long_option__is_refused_with_what_to_type(
    words: list[str], way_out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(words) == 64
    assert capsys.readouterr().err.splitlines()[0] == f"error: {way_out}"


def test_output__with_an_equals_sign__is_read_by_every_command_that_has_one() -> None:
    count = 0
    for _, command in test_help.COMMANDS:
        parameters = command.get_params(click.Context(command))
        short = [name for parameter in parameters for name in parameter.opts if name == "-o"]
        if short:
            count += 1
            assert dashes.plain(["-o=yaml"], parameters, interspersed=True) == ["-o", "yaml"]
    assert count > 20


def test_plan__output_with_an_equals_sign__is_a_form_and_no_file(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    flags = ["--root", str(tmp_path / "root"), "--run-dir", str(tmp_path / "run"), "--runtime", "memory"]
    assert main.main([*flags, "plan", "m", "-o=json"]) == 0
    assert capsys.readouterr().out.startswith("{")
    assert main.main([*flags, "plan", "m", "-out=kept.plan"]) == 64
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []

"""The one place that turns errors into exit codes."""

import json
import os
import pathlib
import subprocess
import sys
from typing import NoReturn

import pytest

from agent import app, errors
from agent.cli import main
from agent.manifests import explain

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIMTAB_LOG_LEVEL", raising=False)


def break_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Make ``explain`` raise an unexpected error."""

    def raise_it(_: str) -> NoReturn:
        raise error

    monkeypatch.setattr(explain, "explain", raise_it)


def test_error__that_nobody_expected__is_told_as_a_bug_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_with(monkeypatch, KeyError("a\x1b\nb"))
    assert main.main(["explain", "container"]) == 1
    assert capsys.readouterr() == (
        "",
        (
            "error: this is a bug in trimtab: KeyError: 'a\\x1b\\nb'\n"
            " hint: run it again with TRIMTAB_LOG_LEVEL=debug, and report it\n"
        ),
    )


@pytest.mark.parametrize(
    ("level", "flags"), [("debug", []), ("info", ["--log-level", "debug"]), ("info", ["--log-level=debug"])]
)
def test_error__that_nobody_expected__debugging__has_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], level: str, flags: list[str]
) -> None:
    def read(*_: object) -> NoReturn:
        raise RuntimeError("x")

    monkeypatch.setattr(app, "read", read)
    monkeypatch.setenv("TRIMTAB_LOG_LEVEL", level)
    assert main.main(["validate", *flags, "m"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        "error: this is a bug in trimtab: RuntimeError: x",
        " hint: report it with the lines below",
    ]
    assert lines[2] == "Traceback (most recent call last):"
    assert lines[-1] == "RuntimeError: x"


def test_error__that_was_expected__alone_in_a_group__is_told_as_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_with(monkeypatch, ExceptionGroup("tasks", [ExceptionGroup("more", [errors.TrimtabError("it is full")])]))
    assert main.main(["explain", "container"]) == 1
    assert capsys.readouterr().err == "error: it is full\n"


def test_interrupt__is_none_of_our_bugs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_: str) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "explain", interrupt)
    assert main.main(["explain", "container"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("path", ["container.spec.port", "pod", "container.spec.env.TOKEN"])
def test_explain__a_path_that_is_not_there__is_used_wrongly(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["explain", path]) == 64
    assert capsys.readouterr().err.startswith("error: ")


def test_usage__a_message_of_several_lines__is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main._used_wrongly("Missing argument. Choose from:\n\ta,\n\tb", None) == 64
    assert capsys.readouterr().err == "error: Missing argument. Choose from: a, b\n hint: trimtab --help\n"


def test_output__a_file_name_that_is_not_text__is_escaped(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / os.fsdecode(b"a\xff\x1b.yaml")).write_text("kind: x\n")
    command = [sys.executable, "-m", "agent", "validate", str(folder), "--output", "json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    completed = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert (completed.returncode, completed.stderr) == (1, b"")
    assert json.loads(completed.stdout)["problems"][0]["path"] == f"{folder}/a\udcff\x1b.yaml"


@pytest.mark.parametrize("words", [["logs"], ["image", "tag"]], ids=" ".join)
def test_usage__an_argument_is_missing__the_hint_names_the_command(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(words) == 64
    assert capsys.readouterr().err.splitlines()[-1] == f" hint: trimtab {' '.join(words)} --help"


@pytest.mark.parametrize("words", [[], ["image"], ["system"]], ids=" ".join)
def test_usage__nothing_behind_a_group__prints_its_help_as_it_is(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(words) == 64
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out.startswith(" ".join(["Usage: trimtab", *words, "[OPTIONS] COMMAND [ARGS]...\n\n"]))


@pytest.mark.parametrize(("words", "code"), [(["explain"], 0), (["explain", "pod"], 64)], ids=["done", "wrong"])
def test_process__into_a_pipe__ends_with_the_code_and_all_that_was_printed(words: list[str], code: int) -> None:
    command = [sys.executable, "-m", "agent", *words]
    completed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=15)
    assert completed.returncode == code
    assert completed.stdout.endswith("\n") == (code == 0)
    assert ("hint:" in completed.stderr) == (code != 0)


def test_process__a_thread_still_works__is_waited_for() -> None:
    program = (
        "import sys, threading, time\n"
        "from agent import __main__\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), sys.stdout.write('late'))).start()\n"
        "__main__._leave(3)\n"
    )
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, cwd=ROOT, timeout=15)
    assert (completed.returncode, completed.stdout) == (3, b"late")

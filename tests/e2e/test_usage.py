"""How the command is called, rightly and wrongly."""

import os
import pathlib
import pty
import subprocess
import sys

import pytest

from agent import __version__
from tests.e2e import command

COMMANDS = (
    "run",
    "apply",
    "plan",
    "validate",
    "render",
    "status",
    "reconcile",
    "describe",
    "history",
    "events",
    "observe",
    "explain",
    "delete",
    "logs",
    "exec",
    "doctor",
)


def test_help__every_command__is_there_and_answers(trimtab: command.Trimtab) -> None:
    top = trimtab("--help")
    assert top.returncode == 0
    assert all(f" {name} " in top.stdout for name in COMMANDS)
    for name in COMMANDS:
        completed = trimtab(name, "--help")
        assert (completed.returncode, completed.stderr) == (0, "")
        assert "Usage: trimtab" in completed.stdout


def test_version__both_spellings__print_it(trimtab: command.Trimtab) -> None:
    assert trimtab("version").stdout == trimtab("--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "--bogus", "m"], "No such option '--bogus'"),
        (
            ["build", "--push", "."],
            "trimtab build has no --push\n hint: trimtab image push REFERENCE pushes what has a --tag",
        ),
        (["build", "--squash", "."], "trimtab build has no --squash"),
        (["plan"], "Missing argument 'SOURCE'"),
        (["bogus"], "trimtab has no command 'bogus'"),
        (["plan", "m", "--output", "xml"], "'xml' is not one of"),
        (["logs", "web", "--since", "yesterday"], "'yesterday' is not a duration"),
        (["logs", "web", "--tail", "-1"], "Invalid value for '--tail'"),
        (
            ["run", "m", "--runtime", "swarm"],
            "--runtime: 'swarm' will not do: choose native or docker or podman or memory",
        ),
        (["run", "m", "--listen", "9469"], "--listen: '9469' will not do"),
        (["plan", "oci+example.org/x"], "sources in an image registry are not built yet"),
        (["plan", "git+http://example.org/x"], "whoever is on the way to http:// can change"),
        (["plan", "git+ftp://example.org/x"], "cannot be reached by 'ftp'"),
        (["plan", "https://example.org/x"], "a SOURCE is a directory, a file, or git+URL"),
        (["--root", "", "status"], "--root: '' will not do"),
    ],
)
def test_usage__wrong__exits_with_64_and_says_why_in_a_line(
    trimtab: command.Trimtab, arguments: list[str], message: str
) -> None:
    completed = trimtab(*arguments)
    assert (completed.returncode, completed.stdout) == (64, "")
    assert message in completed.stderr
    assert "Traceback" not in completed.stderr
    assert len(completed.stderr.splitlines()) <= 2


def test_usage__no_command__prints_the_help_and_exits_with_64(trimtab: command.Trimtab) -> None:
    completed = trimtab()
    assert completed.returncode == 64
    assert "Usage: trimtab" in completed.stdout
    assert completed.stderr == ""


def test_settings__an_unknown_key__is_refused_with_its_place(trimtab: command.Trimtab, home: pathlib.Path) -> None:
    (home / "config.yaml").write_text("log:\n  levle: debug\n")
    completed = trimtab("status")
    assert completed.returncode == 64
    assert f"{home}/config.yaml:2:10: there is no setting 'log.levle'" in completed.stderr
    assert "did you mean log.level?" in completed.stderr


def test_source__not_there__exits_with_1_and_changes_nothing(trimtab: command.Trimtab) -> None:
    for name in ("apply", "plan", "validate", "render", "delete"):
        completed = trimtab(name, "/nowhere/m")
        assert (completed.returncode, completed.stdout) == (1, "")
        assert "/nowhere/m cannot be read: no such file or directory" in completed.stderr
        assert "Traceback" not in completed.stderr


def test_explain__a_field__tells_type_default_and_children(trimtab: command.Trimtab) -> None:
    completed = trimtab("explain", "container.spec.restart.backoff")
    assert completed.returncode == 0
    assert "initial <duration>" in completed.stdout
    assert trimtab.output("explain", "container.spec.mounts")["path"] == "container.spec.mounts"


def test_explain__a_field_that_is_not_there__names_the_likely_one(trimtab: command.Trimtab) -> None:
    completed = trimtab("explain", "container.spec.port")
    assert completed.returncode == 64
    assert "did you mean ports?" in completed.stderr


def test_completion__commands_fields_and_names__are_offered(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    trimtab("apply", shop)

    def complete(line: str) -> str:
        environment = {
            **trimtab.environment,
            "_TRIMTAB_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        }
        offered = subprocess.run(trimtab.command(), env=environment, capture_output=True, text=True, check=False).stdout
        return offered.replace("plain,", "")

    assert "validate" in complete("trimtab val")
    assert "container.spec.ports" in complete("trimtab explain container.spec.po")
    assert complete("trimtab logs w").split() == ["web"]
    assert complete("trimtab events w").split() == ["web"]
    assert set(complete("trimtab describe d").split()) >= {"data", "db"}
    assert set(complete("trimtab status web d").split()) >= {"data", "db"}
    assert complete("trimtab events Container/w").split() == ["Container/web"]


def test_output__the_reader_has_enough__ends_quietly(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        completed = subprocess.run(
            trimtab.command("render", shop), env=trimtab.environment, stdout=stdout, stderr=subprocess.PIPE, check=False
        )
    assert (completed.returncode, completed.stderr) == (0, b"")


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_plan__on_a_terminal__is_coloured_unless_nobody_wants_it(
    trimtab: command.Trimtab,
    shop: pathlib.Path,
    variables: dict[str, str],
    coloured: bool,
) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        environment = {**trimtab.environment, "TERM": "xterm", **variables}
        process = subprocess.Popen(trimtab.command("plan", shop), env=environment, stdout=theirs, stderr=theirs)
        os.close(theirs)
        printed = b""
        try:
            while chunk := terminal.read(4096):
                printed += chunk
        except OSError:  # how a terminal says that its other side is gone
            pass
        assert process.wait(10) == 2
    assert (b"\033[32m" in printed) is coloured
    assert b"Container/web is created" in printed


@pytest.mark.parametrize("words", ["--version", "--help", "explain container"])
def test_output__where_it_goes_to_is_full__says_so_and_calls_it_no_bug(words: str) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        completed = subprocess.run(
            [sys.executable, "-m", "agent", *words.split()], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert completed.returncode == 1
    assert completed.stderr.startswith("error: no room is left where the output goes to\n hint: free some")

"""``build --check``: a Dockerfile is looked at, and nothing is built."""

import json
import os
import pathlib
import socket

import pytest

from tests.e2e import command

GOOD = 'FROM debian:13\nRUN apt-get update\nCOPY a.txt /\nCMD ["sh"]\n'


def dockerfile(folder: pathlib.Path, text: str, name: str = "Dockerfile") -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def test_check__sound_dockerfile__says_so(trimtab: command.Trimtab, tmp_path: pathlib.Path) -> None:
    context = dockerfile(tmp_path / "app", GOOD)
    for path in (context, context / "Dockerfile"):
        completed = trimtab("build", "--check", path)
        text = f"{context}/Dockerfile: no problems\n"
        assert (completed.returncode, completed.stdout, completed.stderr) == (0, text, "")


def test_check__mistakes__are_told_with_their_places(trimtab: command.Trimtab, tmp_path: pathlib.Path) -> None:
    context = dockerfile(tmp_path / "app", "FROM a AS B\nRUN \\\n  --mnt=x b\nCOPPY c d\n")
    completed = trimtab("build", "--check", context)
    assert (completed.returncode, completed.stdout) == (1, "")
    assert completed.stderr == (
        f"{context}/Dockerfile:3:3: error: the flag --mnt of RUN is not known\n"
        "    3 |   --mnt=x b\n"
        "      |   ^\n"
        "hint: did you mean mount?\n"
        f"{context}/Dockerfile:4:1: error: COPPY is no instruction\n"
        "    4 | COPPY c d\n"
        "      | ^\n"
        "hint: did you mean COPY?\n"
    )


def test_check__what_is_likely_meant_otherwise__is_told_by_its_name(
    trimtab: command.Trimtab, tmp_path: pathlib.Path
) -> None:
    context = dockerfile(tmp_path / "app", GOOD + "ENV KEY x\n")
    (context / ".dockerignore").write_text("*.txt\n")
    completed = trimtab("build", "--check", context)
    assert (completed.returncode, completed.stdout) == (1, "")
    for rule, line in (("CopyIgnoredFile", 3), ("LegacyKeyValueFormat", 5), ("SecretsUsedInArgOrEnv", 5)):
        assert f"{context}/Dockerfile:{line}:1: {rule}: " in completed.stderr
    dockerfile(context, "# check=skip=LegacyKeyValueFormat,SecretsUsedInArgOrEnv\n" + GOOD + "ENV KEY x\n", "Other")
    (context / "Other.dockerignore").write_text("b.txt\n")
    completed = trimtab("build", "--check", "-f", context / "Other", context)
    assert (completed.returncode, completed.stdout) == (0, f"{context}/Other: no problems\n")


def test_check__as_json__is_for_programs(trimtab: command.Trimtab, tmp_path: pathlib.Path) -> None:
    context = dockerfile(tmp_path / "app", "FROM a AS B\n")
    completed = trimtab("build", "--check", "--output", "json", context)
    assert completed.returncode == 1
    assert json.loads(completed.stdout) == {
        "dockerfile": f"{context}/Dockerfile",
        "problems": [],
        "checks": [
            {"line": 1, "rule": "StageNameCasing", "message": "the stage's name B has capitals", "hint": "write b"}
        ],
    }


def test_check__bad_dockerignore_or_directive__is_a_mistake(trimtab: command.Trimtab, tmp_path: pathlib.Path) -> None:
    context = dockerfile(tmp_path / "app", "# check=skp=all\n" + GOOD)
    (context / ".dockerignore").write_text("a\n[b\n")
    completed = trimtab("build", "--check", context)
    assert completed.returncode == 1
    assert f"{context}/Dockerfile:1:1: error: the check directive: 'skp=all' is none of" in completed.stderr
    assert f"{context}/.dockerignore:2:1: error: [b: a bracket is not closed" in completed.stderr


@pytest.mark.parametrize("kind", ["missing", "directory", "socket", "fifo"])
def test_check__no_file__is_told_at_once(trimtab: command.Trimtab, tmp_path: pathlib.Path, kind: str) -> None:
    path = tmp_path / "Dockerfile"
    match kind:
        case "directory":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as end:
                end.bind(str(path))
        case "fifo":
            os.mkfifo(path)
    completed = trimtab("build", "--check", tmp_path)
    assert completed.returncode == 1
    assert completed.stderr.startswith(f"error: {path} cannot be read: ")
    assert "Traceback" not in completed.stderr


def test_build__without_check__is_refused(trimtab: command.Trimtab, tmp_path: pathlib.Path) -> None:
    completed = trimtab("build", dockerfile(tmp_path / "app", GOOD))
    assert completed.returncode == 1
    assert completed.stderr.startswith("error: building images is not there yet\n")

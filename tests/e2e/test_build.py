"""``build --check``: a Dockerfile is looked at, and nothing is built."""

import json
import os
import pathlib
import signal
import socket
import subprocess

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


BUILT = """
FROM localhost/base:1 AS made
ARG WORD=default
RUN echo $WORD > /word; echo said
FROM localhost/base:1
COPY --from=made /word /word
COPY a.txt /a.txt
RUN --mount=type=secret,id=key cat /run/secrets/key > /dev/null
CMD ["cat", "/word"]
"""


@pytest.fixture
def app(native: command.Trimtab, quickstart_image: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A context upon an image that is in the store."""
    loaded = native("image", "load", "--as", "localhost/base:1", quickstart_image)
    assert loaded.returncode == 0, loaded.stderr
    context = dockerfile(tmp_path / "app", BUILT)
    (context / "a.txt").write_text("hello")
    (context / "secret").write_text("hidden")
    return context


@pytest.mark.root
def test_build__twice__is_told_by_steps_and_taken_from_the_cache(native: command.Trimtab, app: pathlib.Path) -> None:
    words = ("build", "--network", "none", "--tag", "app:1", "--build-arg", "WORD=given")
    secret = ("--secret", f"id=key,src={app}/secret")
    first = native(*words, *secret, app)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("docker.io/library/app:1 sha256:")
    lines = first.stderr.splitlines()
    (step,) = [
        line.partition(" ")[0] for line in lines if line.endswith(" [made 2/2] RUN echo $WORD > /word; echo said")
    ]
    assert any(line.startswith(f"{step} 0.") and line.endswith(" said") for line in lines)
    assert (first.stderr.count("DONE"), "hidden" in first.stderr) == (4, False)
    again = native(*words, *secret, app)
    assert (again.stdout, again.stderr.count("DONE")) == (first.stdout, 0)
    shown = native("image", "ls", "--output", "json")
    assert "docker.io/library/app:1" in shown.stdout
    native("image", "rm", "app:1", "localhost/base:1")
    native("system", "prune")


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_build__is_ended_by_a_signal__leaves_nothing(native: command.Trimtab, app: pathlib.Path, number: int) -> None:
    (app / "Dockerfile").write_text("FROM localhost/base:1\nRUN echo begun; sleep 600\n")
    words = [*native.command("build", "--network", "none", "--progress", "json"), str(app)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, env=native.environment, text=True) as building:
        assert building.stderr is not None
        assert any('"begun\\n"' in line for line in building.stderr)
        building.send_signal(number)
        rest = building.stderr.read()
        assert building.wait(30) == (130 if number == signal.SIGINT else 128 + number), rest
    assert '"error": "CANCELED"' in rest
    assert native.instance.processes() == {}
    assert native.instance.mounts() == []
    native("image", "rm", "localhost/base:1")
    native("system", "prune")


@pytest.mark.root
def test_build__several_names__are_all_kept(native: command.Trimtab, app: pathlib.Path) -> None:
    (app / "Dockerfile").write_text("FROM localhost/base:1\nLABEL a=b\n")
    built = native("build", "--network", "none", "-t", "a:1", "-t", "b:2", app)
    assert built.stdout.split()[:2] == ["docker.io/library/a:1", "docker.io/library/b:2"]
    removed = native("image", "rm", "a:1", "b:2", "localhost/base:1")
    assert removed.returncode == 0, removed.stderr
    native("system", "prune")


@pytest.mark.root
def test_build__step_fails__is_told_with_its_line_and_its_output(native: command.Trimtab, app: pathlib.Path) -> None:
    (app / "Dockerfile").write_text("FROM localhost/base:1\nRUN echo why; exit 3\n")
    completed = native("build", "--network", "none", "--progress", "json", app)
    assert (completed.returncode, completed.stdout) == (1, "")
    events = [json.loads(line) for line in completed.stderr.splitlines() if line.startswith("{")]
    assert [event["event"] for event in events] == ["begun", "ended", "begun", "output", "ended", "failed"]
    assert (events[3]["text"], events[4]["error"]) == ("why\n", "exit code 3")
    message = "RUN echo why; exit 3 has ended with exit code 3"
    assert events[5]["places"] == [{"line": 2, "column": 1, "message": message, "hint": ""}]
    assert len(events) == len(completed.stderr.splitlines())
    plain = native("build", "--network", "none", app)
    assert f"{app}/Dockerfile:2:1: error: {message}\n" in plain.stderr
    native("image", "rm", "localhost/base:1")
    native("system", "prune")


def test_build__mistakes__nothing_is_opened(trimtab: command.Trimtab, tmp_path: pathlib.Path) -> None:
    completed = trimtab("build", dockerfile(tmp_path / "app", "FROM a\nCOPPY b c\n"))
    assert (completed.returncode, completed.stdout) == (1, "")
    assert completed.stderr.startswith(f"{tmp_path}/app/Dockerfile:2:1: error: COPPY is no instruction\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--secret", "x"), "'x' is not id=ID[,src=FILE|,env=NAME]"),
        (("--secret", "id=a,src=/nothing/there"), "the secret a cannot be read from /nothing/there: No such file"),
        (("--secret", "id=a,env=NOT_THERE"), "there is no variable NOT_THERE for the secret a"),
        (("--ssh", "default=/nothing"), "there is no ssh agent at /nothing"),
        (("--build-context", "x=/nothing"), "the context x is no directory: /nothing"),
        (("--build-context", "x"), "'x' is not NAME=VALUE"),
        (("--build-arg", "=x"), "a name is missing"),
        (("--build-arg", "SOURCE_DATE_EPOCH=soon"), "SOURCE_DATE_EPOCH=soon is no number of seconds"),
        (("--platform", "amd64"), "'amd64' is no platform"),
        (("--platform", "windows/amd64"), "an image for Windows cannot be built on Linux"),
        (("--tag", "A:B:C"), "--tag"),
        ((), "not over memory"),
    ],
)
def test_build__what_cannot_be__is_told(
    trimtab: command.Trimtab, tmp_path: pathlib.Path, words: tuple[str, ...], expected: str
) -> None:
    completed = trimtab("build", *words, dockerfile(tmp_path / "app", "FROM scratch\nCMD x\n"))
    assert completed.returncode != 0
    assert expected in completed.stderr, completed.stderr
    assert "Traceback" not in completed.stderr


@pytest.mark.root
def test_build__what_is_likely_meant_otherwise__is_noted(native: command.Trimtab, tmp_path: pathlib.Path) -> None:
    context = dockerfile(tmp_path / "app", "FROM scratch\nARG A\nENV KEY x\n")
    words = ("build", "--build-arg", "A=1", "--build-arg", "B=1", "--build-arg", "http_proxy=x")
    completed = native(*words, context)
    assert "note: no ARG has taken these build-args: B\n" in completed.stderr
    assert "note: 2 findings of checks: trimtab build --check tells them\n" in completed.stderr
    assert native(*words, "-q", context).stderr == ""
    dockerfile(tmp_path / "app", "# check=error=true;skip=SecretsUsedInArgOrEnv\nFROM scratch\nENV KEY x\n")
    refused = native("build", context)
    assert refused.returncode == 1
    assert f"{context}/Dockerfile:3:1: error: LegacyKeyValueFormat: " in refused.stderr
    native("system", "prune")


def test_check__on_stdin__is_looked_at(trimtab: command.Trimtab) -> None:
    words = trimtab.command("build", "--check", "-")
    completed = subprocess.run(words, input=b"FROM a AS B\n", capture_output=True, check=False, env=trimtab.environment)
    assert completed.returncode == 1
    assert b"<stdin>:1:1: StageNameCasing: " in completed.stderr

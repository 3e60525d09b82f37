"""``build`` where an agent runs: the agent builds, and the command says the same as without one."""

import json
import pathlib
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e import command

pytestmark = pytest.mark.root


@pytest.fixture
def agent(native: command.Trimtab, quickstart_image: pathlib.Path) -> Iterator[command.Agent]:
    """An agent of a source that declares nothing, with an image in its store."""
    loaded = native("image", "load", "--as", "localhost/base:1", quickstart_image)
    assert loaded.returncode == 0, loaded.stderr
    folder = native.home / "manifests"
    folder.mkdir(exist_ok=True)
    with native.running(folder) as agent:
        command.assert_eventually(lambda: native("status").returncode == 0, "the agent answers")
        yield agent
    assert not any(folder.iterdir()) or native("delete", folder).returncode == 0
    names = [line.split()[0] for line in native("image", "ls").stdout.splitlines()[1:]]
    assert native("image", "rm", *names).returncode == 0
    assert native("system", "prune").returncode == 0


@pytest.fixture
def app(native: command.Trimtab) -> pathlib.Path:
    folder = native.home / "app"
    folder.mkdir()
    (folder / "a.txt").write_text("hello")
    (folder / "left-out").write_text("x")
    (folder / ".dockerignore").write_text("left-out\n")
    return folder


def test_build__beside_an_agent__is_built_by_it_and_told_as_without_one(
    native: command.Trimtab, agent: command.Agent, app: pathlib.Path
) -> None:
    (app / "secret").write_text("hidden-value")
    (app / "Dockerfile").write_text(
        "FROM localhost/base:1\nARG WORD\nRUN --mount=type=secret,id=key echo $WORD $(wc -c < /run/secrets/key)\n"
        "COPY . /app\n"
    )
    words = ("build", "--network", "none", "--build-arg", "WORD=given", "--secret", f"id=key,src={app}/secret")
    built = native(*words, "-t", "app:1", "-t", "app:2", app)
    assert built.returncode == 0, built.stderr
    assert built.stdout.startswith("docker.io/library/app:1 docker.io/library/app:2 sha256:")
    assert " given 12\n" in built.stderr
    assert built.stderr.count("DONE") == 2
    again = native(*words, "-q", app)
    assert (again.stdout, again.stderr) == (built.stdout.split()[-1] + "\n", "")
    shown = json.loads(native("image", "ls", "--output", "json").stdout)
    assert {"docker.io/library/app:1", "docker.io/library/app:2"} <= {image["reference"] for image in shown}
    assert "hidden-value" not in agent.log
    assert native(*words, "-o", native.home / "out", app).returncode == 0
    assert (native.home / "out/app/a.txt").read_text() == "hello"


def test_build__fails_beside_an_agent__is_told_with_its_place(
    native: command.Trimtab, agent: command.Agent, app: pathlib.Path
) -> None:
    (app / "Dockerfile").write_text("FROM localhost/base:1\nRUN echo why; exit 3\n")
    failed = native("build", "--network", "none", app)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert f"{app}/Dockerfile:2:1: error: RUN echo why; exit 3 has ended with exit code 3\n" in failed.stderr
    quiet = native("build", "--network", "none", "-q", app)
    assert quiet.stderr.startswith("why\n")
    (app / "Dockerfile").write_text("FROMM x\nCOPPY y\n")
    wrong = native("build", app)
    assert [line.partition(": ")[2] for line in wrong.stderr.splitlines() if "error:" in line] == [
        "error: FROMM is no instruction",
        "error: COPPY is no instruction",
    ]
    (app / "Dockerfile").write_text("FROM localhost/base:1\nCOPY left-out /\n")
    assert "there is no left-out to copy in the context" in native("build", app).stderr
    (app / "Dockerfile").write_text("FROM localhost/none\n")
    unknown = native("build", app)
    assert (unknown.returncode, "localhost/none" in unknown.stderr) == (1, True)
    assert agent.metric("trimtab_internal_errors_total") == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_build__ended_beside_an_agent__the_agent_ends_it_too(
    native: command.Trimtab, agent: command.Agent, app: pathlib.Path, number: int
) -> None:
    (app / "Dockerfile").write_text("FROM localhost/base:1\nRUN echo begun; sleep 600\n")
    words = [*native.command("build", "--network", "none", "--progress", "json"), str(app)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, env=native.environment, text=True) as building:
        assert building.stderr is not None
        assert any('"begun\\n"' in line for line in building.stderr)
        building.send_signal(number)
        code = building.wait(30)
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[signal.Signals(number)]

    assert native.instance.processes() != {}, "or it shows nothing"

    def processes() -> dict[int, str]:
        return {pid: line for pid, line in native.instance.processes().items() if pid != agent.pid}

    command.assert_eventually(lambda: processes() == {}, lambda: f"the step has ended: {processes()}")
    assert native("status").returncode == 0
    assert agent.metric("trimtab_internal_errors_total") == 0
    assert [event for event in agent.events() if event["level"] == "error"] == []
    assert "Traceback" not in agent.log


def test_build__of_a_declared_images_name__is_refused(
    native: command.Trimtab, agent: command.Agent, app: pathlib.Path
) -> None:
    (app / "Dockerfile").write_text("FROM scratch\nCMD x\n")
    manifest = "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: site}\nspec: {build: {context: ../app}}\n"
    (native.home / "manifests/site.yaml").write_text(manifest)
    command.assert_eventually(lambda: "Image/site" in native.objects(), "the image is declared")
    refused = native("build", "-t", "localhost/site", app)
    assert refused.returncode == 1
    assert "localhost/site:latest is what Image/site is kept as, which the source declares" in refused.stderr
    assert agent.metric("trimtab_internal_errors_total") == 0


def test_agent__stops_while_it_builds_for_somebody__nothing_is_left(
    native: command.Trimtab, quickstart_image: pathlib.Path, app: pathlib.Path
) -> None:
    assert native("image", "load", "--as", "localhost/base:1", quickstart_image).returncode == 0
    (app / "Dockerfile").write_text("FROM localhost/base:1\nRUN --mount=type=secret,id=key echo begun; sleep 600\n")
    (app / "secret").write_text("hidden-value")
    folder = native.home / "manifests"
    folder.mkdir(exist_ok=True)
    options = ["--network", "none", "--progress", "json", "--secret", f"id=key,src={app}/secret"]
    with native.running(folder):
        command.assert_eventually(lambda: native("status").returncode == 0, "the agent answers")
        words = [*native.command("build", *options), str(app)]
        building = subprocess.Popen(words, stderr=subprocess.PIPE, env=native.environment, text=True)
        assert building.stderr is not None
        assert any('"begun\\n"' in line for line in building.stderr)
    with building:
        assert building.wait(30) == 1
    assert native.instance.processes() == {}
    assert native.instance.mounts() == []
    assert not any(
        b"hidden-value" in path.read_bytes() for path in native.instance.where.run.rglob("*") if path.is_file()
    )
    assert native("image", "rm", "localhost/base:1").returncode == 0
    assert native("system", "prune").returncode == 0

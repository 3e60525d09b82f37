"""``top`` and ``wait`` as people type them, over our own engine: containers shared by all tests."""

import contextlib
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e import command

pytestmark = pytest.mark.root
MANIFESTS = (
    command.IMAGE
    + """---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: web}}
spec:
  image: {{name: quickstart}}
  stop: {{gracePeriod: 0s}}
  command: [sh, -c, "sleep 1234 & wait", "\\e[31mred\\ntwo"]
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: job}}
spec:
  image: {{name: quickstart}}
  restart: {{policy: Never}}
  command: [sh, -c, "exit 3"]
"""
)


@pytest.fixture(scope="module")
def trimtab(shared_native: command.Trimtab, quickstart_image: pathlib.Path) -> command.Trimtab:
    """The command; ``web`` runs, ``job`` has ended with 3, and no agent is there."""
    manifests = shared_native.home / "manifests" / "all.yaml"
    manifests.write_text(MANIFESTS.format(image=quickstart_image))
    shared_native("apply", manifests.parent)
    assert shared_native("wait", "job").stdout == "3\n"
    return shared_native


def first_process(trimtab: command.Trimtab) -> int:
    """Return the pid of the one that the container's end is the end of."""
    (pid,) = [process["pid"] for process in trimtab.output("top", "web") if process["parent"] == 0]
    return int(pid)


@contextlib.contextmanager
def waiting(trimtab: command.Trimtab, *names: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``wait`` in the background; it has seen what there is to wait for."""
    with subprocess.Popen(
        trimtab.command("wait", *names),
        env=trimtab.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:

        def is_waiting() -> bool:
            open_files = pathlib.Path(f"/proc/{process.pid}/fd").iterdir()
            with contextlib.suppress(FileNotFoundError):
                return any("[pidfd]" in os.readlink(file) for file in open_files)  # noqa: PTH115 - text
            return False

        try:
            command.assert_eventually(is_waiting, "it waits for the monitor's end")
            yield process
        finally:
            process.kill()


def test_top__a_program_with_a_hostile_name__cannot_reach_the_terminal(trimtab: command.Trimtab) -> None:
    command.assert_eventually(lambda: "sleep 1234" in trimtab("top", "web").stdout, "the child has its own words")
    printed = trimtab("top", "web")
    heading, *rows = printed.stdout.splitlines()
    assert heading.split() == ["PID", "PARENT", "UID", "CPU", "MEMORY", "COMMAND"]
    assert len(rows) == 2
    assert r"sh -c sleep 1234 & wait \x1b[31mred\ntwo" in printed.stdout
    shell, child = sorted(trimtab.output("top", "web"), key=lambda process: int(process["parent"]))
    assert shell["command"] == "sh -c sleep 1234 & wait \x1b[31mred\ntwo"
    assert (child["command"], child["parent"], child["uid"]) == ("sleep 1234", shell["pid"], 0)
    assert set(child) == {"pid", "parent", "uid", "cpuSeconds", "rss", "command"}
    assert "\x1b" not in trimtab("top", "web", "-o", "json").stdout


def test_wait__some_have_ended__prints_their_codes_in_order(trimtab: command.Trimtab) -> None:
    pid = first_process(trimtab)
    with waiting(trimtab, "web", "job") as process:
        os.kill(pid, signal.SIGKILL)
        assert process.communicate(timeout=command.PATIENCE) == ("137\n3\n", "")
    assert process.returncode == 0
    assert "container web does not run" in trimtab("top", "web").stderr


def test_refusals__say_what_is_wrong(trimtab: command.Trimtab) -> None:
    for words, code, message in (
        (("top", "job"), 1, "container job does not run"),
        (("wait", "job", "nobody"), 1, "there is no container nobody"),
        (("wait", "job", ""), 64, "a name is blank"),
    ):
        completed = trimtab(*words)
        assert (completed.returncode, completed.stdout) == (code, ""), words
        assert message in completed.stderr


def test_wait__beside_an_agent__is_for_the_run_that_was_there(trimtab: command.Trimtab) -> None:
    with trimtab.running(trimtab.home / "manifests") as agent:
        agent.assert_ready()
        agent.runs("web")
        with waiting(trimtab, "web") as process:
            assert trimtab("restart", "web").returncode == 0
            assert process.communicate(timeout=command.PATIENCE) == ("137\n", "")
        with waiting(trimtab, "web") as process:
            manifests = trimtab.home / "manifests" / "all.yaml"
            kept = manifests.read_text()
            manifests.write_text(kept.replace("sleep 1234", "sleep 4321"))
            assert process.communicate(timeout=command.PATIENCE) == ("137\n", "")
        with waiting(trimtab, "web") as process:
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(command.PATIENCE) == 130

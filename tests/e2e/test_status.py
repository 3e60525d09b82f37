"""``status`` on good days and on bad ones: an agent that was killed, hangs, or cannot read its source."""

import pathlib
import re
import signal
import subprocess
import time

import pytest

from tests.e2e import command, disks
from tests.e2e import engine_host as engine_hosts

MANIFESTS = (
    command.IMAGE
    + """---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: web}}
spec:
  image: {{name: quickstart}}
  command: [sleep, '600']
  stop: {{gracePeriod: 0s}}
  health: {{readiness: {{exec: [sh, -c, ':'], period: 1s}}}}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: worker}}
spec: {{image: {{name: quickstart}}, command: [sleep, '600'], stop: {{gracePeriod: 0s}}}}
"""
)


def declare(home: pathlib.Path, image: pathlib.Path) -> pathlib.Path:
    """Write the manifests of a test that runs containers."""
    folder = home / "manifests"
    folder.mkdir(exist_ok=True)
    (folder / "all.yaml").write_text(MANIFESTS.format(image=image))
    return folder


def test_status__beside_an_agent__is_its_answer_and_exits_with_0(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: trimtab("status").returncode == 0, trimtab("status").stdout)
        lines = trimtab("status").stdout.splitlines()
        assert lines[0].startswith("agent running for ")
        assert f"(process {agent.pid}, trimtab " in lines[0]
        assert lines[1].startswith(f"source {shop}, revision dir:sha256:")
        assert ", last look " in lines[1]
        assert lines[2].split() == ["OBJECT", "READY", "STATUS", "RESTARTS", "AGE"]
        answer = trimtab.output("status")
        assert (answer["agent"], answer["agentState"], answer["healthy"]) == (agent.pid, "running", True)
        assert (answer["lastLook"]["result"], answer["troubles"]) == ("good", [])


def test_status__the_agent_hangs__says_so_first_and_exits_with_1(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        agent.send(signal.SIGSTOP)
        try:
            began = time.monotonic()
            completed = trimtab("status")
            assert time.monotonic() - began < 15.0
        finally:
            agent.send(signal.SIGCONT)
        assert completed.returncode == 1
        assert f"not well: the agent (process {agent.pid}) hangs: " in completed.stdout.splitlines()[1]
        rows = [line.split()[1:4] for line in completed.stdout.splitlines() if line.startswith("Container/")]
        assert rows, completed.stdout
        assert all(row == ["Unknown", "not", "observed"] for row in rows), "what nobody knows is not said"
        agent.assert_ready()
        command.assert_eventually(lambda: trimtab("status").returncode == 0, "it goes on")


def test_status__the_source_is_unreachable__says_so_with_the_last_look(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        shop.rename(tmp_path / "away")
        command.assert_eventually(lambda: agent.get("/readyz")[0] == 503, "not ready any more")
        completed = trimtab("status")
        assert completed.returncode == 1
        assert "ago failed, last read " in completed.stdout.splitlines()[1]
        assert "not well: the source cannot be read: " in completed.stdout
        answer = trimtab.output("status")
        assert answer["lastLook"]["result"] == "failed"
        assert "no such file or directory" in answer["lastLook"]["message"]


def test_status__a_git_source_was_never_read__says_so(trimtab: command.Trimtab, tmp_path: pathlib.Path) -> None:
    with trimtab.running(f"git+file://{tmp_path}/nowhere") as agent:
        agent.says('"port"')
        command.assert_eventually(lambda: trimtab.output("status")["lastLook"]["result"] == "failed", "it has tried")
        completed = trimtab("status")
        assert completed.returncode == 1
        assert "not well: the source cannot be read, and was not since the agent started: " in completed.stdout


def test_status__the_agent_was_killed_over_memory__nothing_is_there_any_more(
    trimtab: command.Trimtab, shop: pathlib.Path
) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        agent.send(signal.SIGKILL)
        agent.wait()
        completed = trimtab("status")
    assert completed.returncode == 1
    assert "not well: no agent is running: nothing keeps this so" in completed.stdout.splitlines()
    assert "Container/web                        False  missing" in completed.stdout


@pytest.mark.root
def test_status__agent_and_container_were_killed__says_what_is_there_now(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    """What the agent last wrote down is that both run, and are healthy."""
    folder = declare(native.home, quickstart_image)
    with native.running(folder) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: native("status").returncode == 0, native("status").stdout)
        agent.send(signal.SIGKILL)
        agent.wait()
    by_itself = native.objects()
    assert by_itself["Container/worker"]["detail"] == "running"
    assert (by_itself["Container/web"]["detail"], by_itself["Container/web"]["Ready"]["status"]) == (
        *("running, not probed", "Unknown"),
    )
    for pid, where in native.instance.processes().items():
        if where.startswith("in "):
            subprocess.run(["kill", "-9", str(pid)], check=True)
    command.assert_eventually(
        lambda: native.objects()["Container/web"]["detail"].startswith("exited"), "the end is seen"
    )
    completed = native("status")
    assert completed.returncode == 1
    assert "not well: no agent is running: nothing keeps this so" in completed.stdout.splitlines()
    assert {key: item["Ready"]["status"] for key, item in native.objects().items()} == {
        "Container/web": "False",
        "Container/worker": "False",
        "Image/quickstart": "True",
        "Network/bridge": "True",
    }


UNKNOWN = "what the source declares is not known until an agent has read it; containers keep running"


@pytest.mark.root
def test_status__the_journal_is_damaged_or_lost__says_so_and_that_nobody_knows_what_is_declared(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    folder, journal = declare(native.home, quickstart_image), native.home / "root" / "agent.sqlite"
    assert native("apply", folder).returncode == 0
    journal.write_bytes(b"no database at all" * 1000)
    assert_declaration_is_unknown(native, "not well: the agent's records cannot be read: ", f"not well: {UNKNOWN}")
    with native.running(native.home / "nowhere") as agent:  # puts it aside, and has nothing to read instead
        agent.says('"port"')
        command.assert_eventually(lambda: native.output("status")["observedAt"], "it has looked")
        assert_unknown(native)
        assert "nothing of it is declared" not in native("status").stdout
        agent.stop(signal.SIGKILL)
    (aside,) = journal.parent.glob("agent.sqlite.damaged-*[0-9]")
    because = r"the journal was damaged at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC and put aside at "
    assert_declaration_is_unknown(native, f"not well: {because}{re.escape(str(aside))}: {UNKNOWN}")
    journal.unlink()
    for path in journal.parent.glob("agent.sqlite.damaged-*"):
        path.unlink()
    assert_declaration_is_unknown(native, "not well: the agent's records cannot be read: ", f"not well: {UNKNOWN}")
    assert native("apply", folder).returncode == 0
    assert UNKNOWN not in native("status").stdout
    assert native.objects()["Container/worker"]["Ready"]["status"] == "True"


def assert_declaration_is_unknown(native: command.Trimtab, *patterns: str) -> None:
    """Check the first lines where no agent is, the exit code and the objects."""
    completed = native("status")
    assert completed.returncode == 1
    first = completed.stdout.splitlines()[: 1 + len(patterns)]
    assert first[0] == "not well: no agent is running: nothing keeps this so"
    for line, pattern in zip(first[1:], patterns, strict=True):
        assert re.match(pattern, line), line
    assert_unknown(native)


def assert_unknown(native: command.Trimtab) -> None:
    """Check that containers run, and nothing is said of what is declared."""
    worker = native.objects()["Container/worker"]
    assert (worker["detail"], worker["Ready"]["status"]) == ("running", "Unknown")
    assert worker["Ready"]["reason"] == "DeclarationUnknown"


def test_status__agent_killed_and_container_removed_over_an_engine__says_what_is_there_now(
    engine_host: engine_hosts.EngineHost, home: pathlib.Path, quickstart_image: pathlib.Path
) -> None:
    trimtab = engine_host.trimtab
    folder = declare(home, quickstart_image)
    with trimtab.running(folder) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: trimtab("status").returncode == 0, trimtab("status").stdout)
        agent.send(signal.SIGKILL)
        agent.wait()
    engine_host.engine.call("DELETE", "containers/worker?force=true")
    completed = trimtab("status")
    assert completed.returncode == 1
    assert "not well: no agent is running: nothing keeps this so" in completed.stdout.splitlines()
    assert trimtab.objects()["Container/worker"]["detail"] == "missing"
    assert trimtab.objects()["Container/web"]["detail"] == "running, not probed"


@pytest.mark.root
def test_status_and_all_that_only_look__the_disk_is_full__say_what_is_so(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    """Beside an agent, and without one: a container that has ended meanwhile is not told as running."""
    with disks.root_of(native, "64m") as root:
        folder = declare(native.home, quickstart_image)
        with native.running(folder) as agent:
            agent.runs("web")
            agent.runs("worker")
            with disks.full_disk(root):
                assert_looks_work(native, folder)
                lines = native("status").stdout.splitlines()
                assert any(line.startswith("not well: the disk of the root is full (") for line in lines[:4]), lines
                assert native("status").returncode == 1
                agent.send(signal.SIGKILL)
                agent.wait()
                for pid, where in native.instance.processes().items():
                    if where.startswith("in "):
                        subprocess.run(["kill", "-9", str(pid)], check=True)
                assert_looks_work(native, folder, runs=False)
                completed = native("status")
                assert completed.returncode == 1
                assert "not well: no agent is running: nothing keeps this so" in completed.stdout
                command.assert_eventually(
                    lambda: "running" not in native.objects()["Container/worker"]["detail"], "the end"
                )


def assert_looks_work(native: command.Trimtab, folder: pathlib.Path, *, runs: bool = True) -> None:
    """Call everything that only looks; none of it may fail for want of room."""
    looks = [("observe",), ("plan", folder), ("logs", "worker"), ("image", "ls")]
    looks += [("exec", "worker", "sh", "-c", "echo hello")] if runs else []
    for words in looks:
        completed = native(*words)
        assert completed.returncode in {0, 2}, (words, completed.stderr)
        assert "bug in trimtab" not in completed.stderr

"""``restart`` with an agent and without one, over our own engine and over others."""

import pathlib
from typing import Any

import pytest

from tests.e2e import command
from tests.e2e import engine_host as engine_hosts

SLEEPER = """apiVersion: trimtab.dev/v1
kind: Image
metadata: {{name: quickstart}}
spec: {{archive: {{path: {path}}}}}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: sleep}}
spec: {{image: {{name: quickstart}}, stop: {{gracePeriod: 1s}}, command: [sleep, "600"]}}
"""


def test_restart__an_agent_runs__is_done_once_and_is_an_event(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: trimtab("status").returncode == 0, "all is applied")
        completed = trimtab("restart", "db", "container/web")
        assert (completed.returncode, completed.stderr) == (0, "")
        assert completed.stdout == "Container/db restarted\nContainer/web restarted\n"
        events = trimtab.output("events", "container/db", "-n", "2")["events"]
        assert [(event["action"], event["reason"]) for event in events] == [
            *(("StopContainer", "Requested"), ("StartContainer", "Requested"))
        ]
        assert trimtab.objects()["Container/db"]["restarts"] == 0
        for name, reason in (
            ("dbb", "there is no object dbb"),
            ("volume/data", "Volume/data cannot be restarted: it is no container"),
        ):
            refused = trimtab("restart", name)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert reason in refused.stderr
        trimtab("suspend", "--all")
        suspended = trimtab("restart", "db")
        assert suspended.returncode == 1
        assert "resume --all, and restart it then" in suspended.stderr


def test_restart__no_agent_has_run_here__says_so(trimtab: command.Trimtab) -> None:
    completed = trimtab("restart", "web")
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "no agent has run here yet" in completed.stderr
    assert trimtab("restart", "web", "--timeout", "0s").returncode == 64
    assert trimtab("restart").returncode == 64


def containers(native: command.Trimtab) -> dict[str, dict[str, Any]]:
    return {container["name"]: container for container in native.output("observe")["observed"]["containers"]}


@pytest.mark.root
def test_restart__our_own_engine_with_an_agent_and_without__runs_anew_where_it_was(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    folder = native.home / "manifests"
    (folder / "sleep.yaml").write_text(SLEEPER.format(path=quickstart_image))
    with native.running(folder) as agent:
        agent.assert_ready()
        agent.runs("sleep")
        before = containers(native)["sleep"]
        restarted = native("restart", "sleep")
        assert (restarted.returncode, restarted.stdout) == (0, "Container/sleep restarted\n"), restarted.stderr
        between = containers(native)["sleep"]
        assert (between["id"], between["pid"] != before["pid"]) == (before["id"], True)
    restarted = native("restart", "sleep")
    assert (restarted.returncode, restarted.stdout) == (0, "Container/sleep restarted\n"), restarted.stderr
    after = containers(native)["sleep"]
    assert (after["id"], after["state"], after["pid"] != between["pid"]) == (before["id"], "running", True)


def test_restart__over_an_engine__runs_anew_where_it_was(engine_host: engine_hosts.EngineHost) -> None:
    folder = engine_host.write(web=engine_hosts.SLEEP)
    with engine_host.trimtab.running(folder) as agent:
        agent.assert_ready()
        agent.runs("web")
        before = engine_host.runs()["web"]
        restarted = engine_host.trimtab("restart", "web")
        assert (restarted.returncode, restarted.stdout) == (0, "Container/web restarted\n"), restarted.stderr
        after = engine_host.runs()["web"]
        assert (after[0], after[1] != before[1]) == (before[0], True)

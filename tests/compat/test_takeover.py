"""A live host: an earlier release's agent is killed and this one begins. Nothing is planned, restarted or lost."""

import contextlib
import json
import pathlib
import signal
import urllib.request
from typing import Any

import pytest

from tests import hostports
from tests.compat import golden
from tests.e2e import command

pytestmark = pytest.mark.root
_STORES = """
apiVersion: trimtab.dev/v1
kind: Network
metadata: {name: shop}
---
apiVersion: trimtab.dev/v1
kind: Volume
metadata: {name: data}
spec: {deletionPolicy: Delete}
---
apiVersion: trimtab.dev/v1
kind: Volume
metadata: {name: kept}
---
apiVersion: trimtab.dev/v1
kind: Image
metadata: {name: quickstart}
"""
_CONTAINER = """
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: {name}}}
spec: {{image: {{name: quickstart}}, stop: {{gracePeriod: 0s}}, {spec}}}
"""
_SLEEP = "command: [sleep, '600']"
_CONTAINERS = {
    "web": "command: [httpd, -f, -p, '80', -h, /www], networks: [{{name: shop, aliases: [www]}}],"
    ' ports: ["127.0.0.1:{port}:80"], mounts: [{{volume: data, path: /data}}, {{tmpfs: 1Mi, path: /tmp}}],'
    " health: {{readiness: {{http: {{port: 80}}, period: 1s}}, liveness: {{exec: [ls, /], period: 1s}}}},"
    " resources: {{cpus: 0.5, memory: 32Mi, pids: 50}}, env: {{GREETING: hello}}",
    "client": _SLEEP + ", networks: [shop], dependsOn: [{{container: web, condition: Healthy}}],"
    " restart: {{policy: UnlessStopped}}",
    "job": "command: [sh, -c, 'echo ran >> /data/job'], mounts: [{{volume: kept, path: /data}}],"
    " restart: {{policy: OnFailure}}",
    "failed": "command: [sh, -c, exit 3], restart: {{policy: Never}}",
    "restarted": "command: [sh, -c, 'test -e /once && exec sleep 600; > /once; exit 1']",
}
_DISPOSED = """
apiVersion: trimtab.dev/v1
kind: Volume
metadata: {name: kept}
spec: {deletionPolicy: Delete}
"""
RUNNING = ("client", "restarted", "web")


def _declare(folder: pathlib.Path, archive: pathlib.Path, port: int) -> None:
    """Write the manifests."""
    text = _STORES + f"spec: {{archive: {{path: {archive}}}}}"
    for name, spec in _CONTAINERS.items():
        text += _CONTAINER.format(name=name, spec=spec.format(port=port))
    folder.mkdir(exist_ok=True)
    (folder / "all.yaml").write_text(text)


def _are_ready(agent: command.Agent) -> None:
    agent.says('"port"')
    for name in RUNNING:
        agent.assert_shows(
            f'trimtab_object_condition{{kind="Container",name="{name}",status="True",type="Ready"}}', 1.0
        )
    agent.assert_shows('trimtab_object_ready_reason{kind="Container",name="job",reason="Completed"}', 1.0)


def _serves(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return "html" in answer.read().decode()
    return False


def _steps(trimtab: command.Trimtab, folder: pathlib.Path) -> list[Any]:
    """Return what would be done."""
    planned = trimtab("plan", folder, "--output", "json")
    steps: list[Any] = json.loads(planned.stdout)["steps"]
    return steps


def _identities(trimtab: command.Trimtab) -> dict[str, Any]:
    """Return what must not change: everything that is seen of each object but what is measured anew."""
    observed = trimtab.output("observe")["observed"]
    containers = {
        entry["name"]: {
            field: entry.get(field)
            for field in ("id", "pid", "state", "image_id", "started_at", "finished_at", "exit_code", "addresses")
        }
        for entry in observed["containers"]
    }
    others = {kind: observed[kind] for kind in ("images", "networks", "volumes")}
    return {"containers": containers, **others}


def assert_takes_over(trimtab: command.Trimtab, release: str, archive: pathlib.Path, scratch: pathlib.Path) -> None:
    """Run the release's agent, kill it, and assert that this checkout's agent goes on."""
    port, folder = hostports.free_port(), trimtab.home / "manifests"
    _declare(folder, archive, port)
    earlier = command.Trimtab(trimtab.home, trimtab.environment, golden.code(release, scratch / release))
    with earlier.running(folder) as agent:
        _are_ready(agent)
        command.assert_eventually(lambda: not _steps(earlier, folder), "all is as declared")
        before = _identities(earlier)
        restarts = {key: entry["restarts"] for key, entry in earlier.objects().items()}
        agent.stop(signal.SIGKILL)
    history = golden.journal(trimtab.home)
    assert restarts["Container/restarted"] == 1
    golden.assert_same(_identities(trimtab), before)  # as this release sees it before its agent has begun
    assert _steps(trimtab, folder) == []
    with trimtab.running(folder) as agent:
        _are_ready(agent)
        assert agent.metric("trimtab_plan_steps") == 0
        golden.assert_same(_identities(trimtab), before)
        assert {key: entry["restarts"] for key, entry in trimtab.objects().items()} == restarts
        assert agent.metric("trimtab_internal_errors_total") == 0
        assert trimtab("exec", "client", "nslookup", "www").returncode == 0
        assert _steps(trimtab, folder) == []
    assert _serves(port)
    after = golden.journal(trimtab.home)
    for table in ("plans", "outcomes"):
        assert after[table] == history[table], f"{table}: nothing is lost, and nothing was done"
    assert {row[0] for row in history["revisions"]} <= {row[0] for row in after["revisions"]}
    deleted = trimtab("delete", folder)
    assert deleted.returncode == 0, deleted.stderr


@pytest.mark.parametrize("release", golden.RELEASES)
def test_takeover__native__nothing_is_planned_restarted_or_lost(
    native: command.Trimtab, quickstart_image: pathlib.Path, tmp_path: pathlib.Path, release: str
) -> None:
    assert_takes_over(native, release, quickstart_image, tmp_path)
    job = native.instance.where.volumes / "kept" / "_data" / "job"
    assert job.read_text() == "ran\n"
    (native.home / "manifests" / "all.yaml").write_text(_DISPOSED)
    assert native("apply", native.home / "manifests").returncode == 0


@pytest.mark.parametrize("release", golden.RELEASES)
def test_takeover__engines__nothing_is_planned_restarted_or_lost(engine_host, tmp_path: pathlib.Path, release) -> None:
    assert_takes_over(engine_host.trimtab, release, engine_host.archive, tmp_path)

"""The agent killed by SIGKILL at every registered failpoint: the next run converges, and nothing is left behind."""

import pathlib

import pytest

from agent.kit import failpoint
from tests import hostports, instances, registry
from tests.crash import warm  # which imports all that registers failpoints

KILLED = -9
CONVERGED, PENDING = 0, 2

UP = """
apiVersion: trimtab.dev/v1
kind: Image
metadata: {{name: app}}
spec: {{archive: {{path: {archive}}}}}
---
apiVersion: trimtab.dev/v1
kind: Network
metadata: {{name: shop}}
---
apiVersion: trimtab.dev/v1
kind: Network
metadata: {{name: back}}
spec: {{internal: true}}
---
apiVersion: trimtab.dev/v1
kind: Volume
metadata: {{name: pages}}
spec: {{deletionPolicy: Delete}}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: web}}
spec:
  image: {{name: app}}
  args: {args}
  networks: {networks}
  ports: ["127.0.0.1:{port}:80"]
  mounts: [{{volume: pages, path: /www}}]
  resources: {{memory: {memory}}}
  stop: {{gracePeriod: 0s}}
"""
OF_PULLS = ("content.ingest", "content.commit", "layers.unpack", "snapshots.commit", "images.record")
PULLED = """
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: web}}
spec: {{image: "{reference}", networks: none, stop: {{gracePeriod: 0s}}}}
"""
SERVE = "[/bin/httpd, -f, -p, '80', -h, /www]"
SERVE_LOUDLY = "[/bin/httpd, -f, -v, -p, '80', -h, /www]"


def stages(archive: pathlib.Path, port: int) -> list[tuple[str, str]]:
    """Return (command, manifests) from nothing to everything, changed in place, replaced, and back to nothing."""
    base = {"archive": archive, "port": port}
    first = UP.format(**base, args=SERVE, networks="[shop]", memory="64Mi")
    changed = UP.format(**base, args=SERVE, networks="[shop, back]", memory="32Mi")
    reduced = UP.format(**base, args=SERVE, networks="[shop]", memory="32Mi")
    replaced = UP.format(**base, args=SERVE_LOUDLY, networks="[shop]", memory="32Mi")
    return [("apply", first), ("apply", changed), ("apply", reduced), ("apply", replaced), ("delete", replaced)]


@pytest.mark.root
@pytest.mark.parametrize("name", [name for name in failpoint.registered() if not name.startswith("build.")])
def test_killed_at__converges_and_leaves_nothing(
    name: str, agent: warm.Warm, instance: instances.Instance, busybox_archive: pathlib.Path
) -> None:
    killed = False
    for command, manifests in stages(busybox_archive, hostports.free_port()):
        instance.declare(manifests)
        if not killed:
            completed = agent.run(instance, command, (name, 1))
            killed = completed.returncode == KILLED
            assert killed or completed.returncode == CONVERGED, completed.output
            if not killed:
                continue
        completed = agent.run(instance, command)
        assert completed.returncode == CONVERGED, completed.output
        if command == "apply":
            planned = agent.run(instance, "plan")
            assert planned.returncode == CONVERGED, planned.output
    assert killed, f"nothing of what was done passes {name}"
    assert instance.left_on_the_host() == []


@pytest.mark.root
@pytest.mark.engine
@pytest.mark.parametrize(
    "point", ["content.ingest", "content.commit", "layers.unpack", "snapshots.commit", "images.record"]
)
def test_killed_while_pulling__begins_again_and_leaves_nothing(
    point: str, instance: instances.Instance, busybox_archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with registry.running(tmp_path / "registry") as address:
        registry.push(busybox_archive, f"{address}/app:1")
        instance.declare(PULLED.format(reference=f"{address}/app:1"))
        assert instance.run("apply", failpoints=f"{point}=kill").returncode == KILLED
        assert instance.run("apply").returncode == CONVERGED
        assert instance.run("plan").returncode == CONVERGED
        assert instance.run("delete").returncode == CONVERGED
    assert instance.left_on_the_host() == []

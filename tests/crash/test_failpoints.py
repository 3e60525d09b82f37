"""The agent killed by SIGKILL at every registered failpoint: the next run converges, and nothing is left behind."""

import importlib
import pathlib
import socket

import pytest

from agent.kit import failpoint

for _name in ("agent.app", "agent.drivers.native.driver", "agent.converge.loop", "agent.converge.once"):
    importlib.import_module(_name)

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
SERVE = "[/bin/httpd, -f, -p, '80', -h, /www]"
SERVE_LOUDLY = "[/bin/httpd, -f, -v, -p, '80', -h, /www]"


def stages(archive: pathlib.Path, port: int) -> list[tuple[str, str]]:
    """Give (command, manifests) from nothing to everything, changed in place, replaced, and back to nothing."""
    base = {"archive": archive, "port": port}
    first = UP.format(**base, args=SERVE, networks="[shop]", memory="64Mi")
    changed = UP.format(**base, args=SERVE, networks="[shop, back]", memory="32Mi")
    left = UP.format(**base, args=SERVE, networks="[shop]", memory="32Mi")
    replaced = UP.format(**base, args=SERVE_LOUDLY, networks="[shop]", memory="32Mi")
    return [("apply", first), ("apply", changed), ("apply", left), ("apply", replaced), ("delete", replaced)]


def free_port() -> int:
    """Give a port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.root
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", failpoint.registered())
def test_killed_at__converges_and_leaves_nothing(name: str, instance, busybox_archive: pathlib.Path) -> None:
    killed = False
    for command, manifests in stages(busybox_archive, free_port()):
        instance.declare(manifests)
        if not killed:
            completed = instance.run(command, failpoints=f"{name}=kill")
            killed = completed.returncode == KILLED
            assert killed or completed.returncode == CONVERGED, completed.stderr
            if not killed:
                continue
        completed = instance.run(command)
        assert completed.returncode == CONVERGED, completed.stderr
        if command == "apply":
            again = instance.run("plan")
            assert again.returncode == CONVERGED, again.stdout + again.stderr
    assert killed, f"nothing of what was done passes {name}"
    assert instance.left_on_the_host() == []

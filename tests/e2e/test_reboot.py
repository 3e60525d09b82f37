"""A reboot: all that was declared runs again, on the data that was there."""

import json
import pathlib
import signal
import urllib.request

import pytest

from tests import hostports
from tests.e2e import command

pytestmark = pytest.mark.root

MANIFESTS = (
    command.IMAGE
    + """---
apiVersion: trimtab.dev/v1
kind: Network
metadata: {{name: shop}}
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
  image: {{name: quickstart}}
  networks: [shop]
  ports: ["127.0.0.1:{port}:80"]
  mounts: [{{volume: pages, path: /www}}]
  resources: {{memory: 64Mi}}
  stop: {{gracePeriod: 0s}}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: client}}
spec:
  image: {{name: quickstart}}
  command: [sleep, '600']
  networks: [shop]
  restart: {{policy: OnFailure}}
  dependsOn: [{{container: web}}]
  stop: {{gracePeriod: 0s}}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: job}}
spec:
  image: {{name: quickstart}}
  command: [sh, -c, {job}]
  restart: {{policy: OnFailure}}
  mounts: [{{volume: pages, path: /data}}]
"""
)
JOB = "echo ran >> /data/job.txt"
ALL = ("Container/web", "Container/client", "Container/job", "Image/quickstart", "Network/shop", "Volume/pages")


def _page(port: int, name: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=5) as answer:
        return str(answer.read().decode())


def _are_ready(agent: command.Agent) -> None:
    for key in ALL:
        kind, _, name = key.partition("/")
        labels = f'kind="{kind}",name="{name}",status="True",type="Ready"'
        agent.assert_shows(f"trimtab_object_condition{{{labels}}}", 1.0)
    agent.assert_shows('trimtab_object_ready_reason{kind="Container",name="job",reason="Completed"}', 1.0)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["shut down", "power lost"])
def test_reboot__everything_declared__runs_again_on_its_data_and_is_counted_once(
    native: command.Trimtab, quickstart_image: pathlib.Path, end: signal.Signals
) -> None:
    port, folder = hostports.free_port(), native.home / "manifests"
    (folder / "all.yaml").write_text(MANIFESTS.format(image=quickstart_image, port=port, job=json.dumps(JOB)))
    with native.running(folder) as agent:
        agent.assert_ready()
        _are_ready(agent)
        write = "echo written before > /www/kept.txt; echo in my layer > /etc/mine"
        assert native("exec", "web", "sh", "-c", write).returncode == 0
        before = _containers(native)
        agent.stop(end)
    native.instance.reboot()
    with native.running(folder) as agent:
        agent.assert_ready()
        _are_ready(agent)
        assert _page(port, "kept.txt") == "written before\n"
        assert native("exec", "web", "cat", "/etc/mine").stdout == "in my layer\n"
        assert native("exec", "client", "nslookup", "web").returncode == 0
        assert _page(port, "job.txt") == "ran\n", "what had run to its end before is not run again"
        after = _containers(native)
        assert {name: container["id"] for name, container in after.items()} == {
            name: container["id"] for name, container in before.items()
        }
        objects = native.objects()
        assert {key: objects[key]["restarts"] for key in ALL[:3]} == {ALL[0]: 1, ALL[1]: 1, ALL[2]: 0}
        assert native("plan", folder).returncode == 0
        assert agent.metric("trimtab_internal_errors_total") == 0


def test_reboot__nobody_has_begun_yet__what_ran_is_seen_as_ended(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    folder = native.home / "manifests"
    text = MANIFESTS.format(image=quickstart_image, port=hostports.free_port(), job=json.dumps(JOB))
    (folder / "all.yaml").write_text(text)
    assert native("apply", folder).returncode == 0
    native.instance.reboot()
    containers = _containers(native)
    assert {name: container["state"] for name, container in containers.items()} == dict.fromkeys(
        ("client", "job", "web"), "exited"
    )
    assert containers["web"]["exit_code"] is None, "nobody saw that end"
    assert native("plan", folder).returncode == 2
    assert native("apply", folder).returncode == 0
    assert native("plan", folder).returncode == 0


def _containers(native: command.Trimtab) -> dict[str, dict[str, object]]:
    return {container["name"]: container for container in native.output("observe")["observed"]["containers"]}

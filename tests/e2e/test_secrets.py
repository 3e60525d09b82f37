"""A Secret with a login, as who declares it sees what becomes of it; its values are shown nowhere."""

import json
import subprocess

import pytest

from tests import registry
from tests.e2e import command

pytestmark = [pytest.mark.root, pytest.mark.engine]

LOGIN = f"--dest-creds={registry.USER}:{registry.PASSWORD}"
DECLARED = """
apiVersion: trimtab.dev/v1
kind: Secret
metadata: {{name: team}}
type: kubernetes.io/dockerconfigjson
stringData:
  .dockerconfigjson: '{document}'
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: web}}
spec: {{image: '{address}/team/app:1', command: [sleep, '60'], networks: none, stop: {{gracePeriod: 0s}}}}
"""
WRONG = "wr0ng-s3cr3t"


def declare(native: command.Trimtab, address: str, password: str) -> None:
    document = json.dumps({"auths": {address: {"username": registry.USER, "password": password}}})
    temporary = native.home / "manifests" / ".new"
    temporary.write_text(DECLARED.format(document=document, address=address))
    temporary.rename(native.home / "manifests" / "all.yaml")


def shown(*completed: subprocess.CompletedProcess[str]) -> str:
    return "".join(process.stdout + process.stderr for process in completed)


def test_secret__wrong_and_then_right__is_used_at_once_and_shown_nowhere(native, busybox_archive) -> None:
    folder = native.home / "manifests"
    with registry.running(native.home / "registry", login=True) as address:
        registry.push(busybox_archive, f"{address}/team/app:1", LOGIN)
        declare(native, address, WRONG)
        refused = native("apply", folder)
        assert refused.returncode == 1
        assert f"{address} does not let us at {address}/team/app:1" in refused.stderr
        assert f"declare a Secret with its login, or let docker login {address} write it" in refused.stderr
        looks = [native(*words) for words in (("render", folder), ("validate", folder), ("plan", folder), ("status",))]
        with native.running(folder) as agent:
            agent.says("ImagePullDenied")
            declare(native, address, registry.PASSWORD)
            agent.runs("web")
            looks += [native("render", folder, "-o", "json"), native("observe", "--json"), native("status")]
            metrics = agent.get("/metrics")[1]
        assert native("image", "tag", f"{address}/team/app:1", f"{address}/team/app:2").returncode == 0
        pushed = native("image", "push", f"{address}/team/app:2")
        assert pushed.returncode == 0, pushed.stderr
        assert native("image", "rm", f"{address}/team/app:2").returncode == 0
        looks += [refused, pushed, native("delete", folder)]
        text = shown(*looks) + agent.log + metrics
        assert "(hidden)" in text
        assert [secret for secret in (WRONG, registry.USER) if secret in text] == []

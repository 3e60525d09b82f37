"""An agent that runs, for commands that ask it."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests import builders

_MANIFEST = {
    "apiVersion": "trimtab.dev/v1",
    "kind": "Container",
    "metadata": {"name": "web"},
    "spec": {"image": builders.IMAGE},
}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Run an agent over memory that has started ``web``; yields the flags that lead to it."""
    tmp_path = tmp_path_factory.mktemp("agent")
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "web.json").write_text(json.dumps(_MANIFEST))
    flags = ["--root", str(tmp_path / "root"), "--run-dir", str(tmp_path / "run"), "--runtime", "memory"]
    command = [sys.executable, "-m", "agent", *flags, "run", "--listen", "off", "--log-format", "json", str(manifests)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if json.loads(line).get("event") == "everything is as declared":
                break
        yield flags
        process.terminate()
        process.communicate()

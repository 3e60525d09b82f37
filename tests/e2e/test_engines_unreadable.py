"""A container of Docker or Podman whose label does not say, to this release, what it was made from."""

import json

import pytest

from tests.e2e import engine_host

pytestmark = [pytest.mark.root, pytest.mark.engine]
SLEEP = engine_host.SLEEP
LABEL = "trimtab.dev/config"


def test_apply__a_declaration_cannot_be_read__the_container_is_left_as_it_is_and_the_way_out_works(engine_host) -> None:
    folder = engine_host.write(web=SLEEP, other=SLEEP)
    assert engine_host.trimtab("apply", folder).returncode == 0
    (inspected,) = json.loads(engine_host.docker("inspect", "web"))
    labels = {**inspected["Config"]["Labels"], LABEL: json.dumps({"name": "web", "added": 1})}
    engine_host.docker("rm", "--force", "web")
    words = [word for name, text in labels.items() for word in ("--label", f"{name}={text}")]
    engine_host.docker("run", "--detach", "--name", "web", *words, inspected["Image"], "sleep", "600")
    runs = engine_host.runs()

    applied = engine_host.trimtab("apply", folder)
    assert applied.returncode != 0
    assert f"its label {LABEL} cannot be read, so it is left as it is" in " ".join(applied.stderr.split())
    assert "remove web: it is made again as declared" in " ".join((applied.stdout + applied.stderr).split())
    assert engine_host.trimtab("plan", folder, "--output", "json").returncode == 0
    assert engine_host.runs() == runs

    engine_host.docker("rm", "--force", "web")
    assert engine_host.trimtab("apply", folder).returncode == 0
    assert engine_host.runs()["web"] != runs["web"]
    assert engine_host.runs()["other"] == runs["other"]

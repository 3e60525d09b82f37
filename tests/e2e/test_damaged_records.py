"""Databases that are damaged while no agent runs: the next one makes them again, and every container runs on."""

import contextlib
import json
import pathlib
import signal
import sqlite3
from typing import Any

import pytest

from tests import damages
from tests.e2e import command

pytestmark = pytest.mark.root
_MANIFESTS = (
    command.IMAGE
    + """---
apiVersion: trimtab.dev/v1
kind: Network
metadata: {{name: shop}}
---
apiVersion: trimtab.dev/v1
kind: Volume
metadata: {{name: data}}
spec: {{deletionPolicy: Delete}}
"""
)
_CONTAINER = """
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: {name}}}
spec: {{image: {{name: quickstart}}, stop: {{gracePeriod: 0s}}, {spec}}}
"""
_SPECS = {
    "web": "command: [sleep, '600'], networks: [{name: shop, aliases: [www]}], mounts: [{volume: data, path: /data}]",
    "client": "command: [sleep, '600'], networks: [shop], restart: {policy: UnlessStopped}",
    "job": "command: [sh, -c, 'echo ran >> /data/job'], mounts: [{volume: data, path: /data}],"
    " restart: {policy: OnFailure}",
}
_ENGINE, _JOURNAL = "engine.sqlite", "agent.sqlite"


@pytest.fixture
def folder(native: command.Trimtab, quickstart_image: pathlib.Path) -> pathlib.Path:
    folder = native.home / "manifests"
    containers = "".join(_CONTAINER.format(name=name, spec=spec) for name, spec in _SPECS.items())
    (folder / "all.yaml").write_text(_MANIFESTS.format(image=quickstart_image) + containers)
    return folder


def _observation(native: command.Trimtab) -> dict[str, Any]:
    observed = native.output("observe")["observed"]
    return {kind: observed[kind] for kind in ("containers", "images", "networks", "volumes")}


def _steps(native: command.Trimtab, folder: pathlib.Path) -> list[Any]:
    steps: list[Any] = json.loads(native("plan", folder, "--output", "json").stdout)["steps"]
    return steps


@pytest.mark.parametrize("kind", damages.KINDS)
def test_run__both_databases_are_damaged__everything_runs_on_and_nothing_is_to_be_done(
    native: command.Trimtab, folder: pathlib.Path, kind: str
) -> None:
    assert native("apply", folder).returncode == 0
    before, mended = _observation(native), 0.0
    for seed in range(2):
        for name in (_ENGINE, _JOURNAL):
            damages.damage(native.home / "root" / name, kind, seed)
        with native.running(folder) as agent:
            agent.assert_ready()
            agent.says("everything is as declared")
            assert _observation(native) == before
            assert _steps(native, folder) == []
            assert agent.metric("trimtab_internal_errors_total") == 0
            mended += agent.metric('trimtab_notices{reason="RecordsDamaged"}') or 0.0
            agent.stop(signal.SIGKILL if seed % 2 else signal.SIGTERM)
    (records,) = (check for check in native.output("doctor") if check["name"] == "records")
    assert records["ok"] == (mended == 0), "what hits no page in use damages nothing"
    assert (".damaged-" in records["detail"]) == (mended > 0)
    assert (native.instance.where.volumes / "data" / "_data" / "job").read_text() == "ran\n"
    _without_leftovers(native)


def test_run__damaged_while_it_runs__goes_on_and_says_so(native: command.Trimtab, folder: pathlib.Path) -> None:
    with native.running(folder) as agent:
        agent.assert_ready()
        agent.says("everything is as declared")
        before = _observation(native)
        for name in (_ENGINE, _JOURNAL):
            path = native.home / "root" / name
            with contextlib.closing(sqlite3.connect(path)) as other, other:
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            other.close()
            path.write_bytes(bytes(path.stat().st_size))
        (folder / "more.yaml").write_text(_CONTAINER.format(name="more", spec="command: [sleep, '600']"))
        agent.runs("more")
        agent.assert_shows('trimtab_notices{reason="RecordsDamaged"}', 2.0)
        after = _observation(native)
        more = [container for container in after["containers"] if container["name"] == "more"]
        assert after == before | {
            "containers": sorted([*before["containers"], *more], key=lambda container: container["name"])
        }
        assert agent.metric("trimtab_internal_errors_total") == 0
    assert _steps(native, folder) == []
    _without_leftovers(native)


_LOG = "engine.redo"


@pytest.mark.parametrize("how", ["removed", "garbage"])
def test_run__records_and_redo_log_are_lost__everything_runs_on_and_it_is_said(
    native: command.Trimtab, folder: pathlib.Path, how: str
) -> None:
    assert native("apply", folder).returncode == 0
    before, processes = _observation(native), _places(native)
    _lose(native.home / "root", how)
    assert _observation(native) == before, "who only looks sees it too"
    with native.running(folder) as agent:
        agent.assert_ready()
        agent.says("everything is as declared")
        assert _observation(native) == before
        assert _places(native) == processes
        _lose(native.home / "root", how)
        (folder / "more.yaml").write_text(_CONTAINER.format(name="more", spec="command: [sleep, '600']"))
        agent.runs("more")
        agent.says("everything is as declared")
        assert _places(native).items() >= processes.items()
        assert "note: engine.sqlite: the records were damaged" in native("status").stdout
        assert agent.metric("trimtab_internal_errors_total") == 0
    (records,) = (check for check in native.output("doctor") if check["name"] == "records")
    assert "engine.sqlite.damaged-" in records["detail"]
    _without_leftovers(native)


def test_run__every_copy_of_the_records_is_lost__is_said_and_data_stays_and_nothing_is_left_over(
    native: command.Trimtab, folder: pathlib.Path
) -> None:
    assert native("apply", folder).returncode == 0
    data = native.instance.where.volumes / "data" / "_data"
    (data / "kept").write_text("data")
    former = set(_places(native))
    _lose(native.home / "root", "removed")
    (native.home / "run" / _LOG).unlink()
    with native.running(folder) as agent:
        agent.assert_ready()
        agent.says("everything is as declared")
        assert "engine.sqlite: the records and all their copies were lost; 3 containers" in native("status").stdout
        assert former.isdisjoint(_places(native))
        assert (data / "kept").read_text() == "data"
    (records,) = (check for check in native.output("doctor") if check["name"] == "records")
    assert "engine.sqlite.damaged-" in records["detail"]
    _without_leftovers(native)


def _lose(root: pathlib.Path, how: str) -> None:
    for path in (root / _ENGINE, root / _LOG):
        assert path.exists()
        if how == "garbage":
            path.write_bytes(b"garbage" * 10_000)
        else:
            path.unlink()


def _places(native: command.Trimtab) -> dict[int, str]:
    """Return the processes of containers."""
    return {pid: where for pid, where in native.instance.processes().items() if where.startswith("in ")}


def _without_leftovers(native: command.Trimtab) -> None:
    """Remove what is kept of damaged databases: whoever looks for what an instance leaves need not find it."""
    for path in (native.home / "root").glob("*.damaged-*"):
        path.unlink()

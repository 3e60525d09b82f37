"""What goes wrong in the world: one object says so, those that depend on it wait, everything else goes on.

And when the cause is gone, nobody has to do anything.
"""

import json
import os
import pathlib
import socket

import pytest

from tests import hostports, registry
from tests.e2e import bad_day, command

pytestmark = pytest.mark.root


@pytest.mark.engine
def test_pull__no_registry_then_no_image__is_told_each_time_and_pulled_when_it_is_there(
    native: command.Trimtab, quickstart_image: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    port = hostports.free_port()
    reference = f"127.0.0.1:{port}/late:1"
    with bad_day.begun(native, quickstart_image, bad_day.SLEEP, of=reference) as day:
        assert "cannot be reached" in day.suffers("ImagePullFailed", f"Image/{reference}")
        day.suffers("WaitingForDependency")
        with registry.running(tmp_path / "registry", port):
            assert "is not in the registry" in day.suffers("ImageNotFound", f"Image/{reference}")
            registry.push(quickstart_image, reference)
            day.assert_recovers(f"Image/{reference}")


def test_port__another_program_has_it__is_named_and_taken_when_it_is_free(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        spec = f"{bad_day.SLEEP}, ports: ['127.0.0.1:{port}:80']"
        with bad_day.begun(native, quickstart_image, spec) as day:
            message = day.suffers("PortInUse")
            assert f"127.0.0.1:{port}/tcp is in use" in message
            assert f"(pid {os.getpid()})" in message
            other.close()
            day.assert_recovers()


def test_mount__its_source_is_missing__is_named_and_mounted_when_it_is_there(
    native: command.Trimtab, quickstart_image: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    missing = tmp_path / "missing"
    spec = f"{bad_day.SLEEP}, mounts: [{{bind: {missing}, path: /data}}]"
    with bad_day.begun(native, quickstart_image, spec) as day:
        assert str(missing) in day.suffers("MountSourceMissing")
        missing.mkdir()
        (missing / "here").touch()
        day.assert_recovers()
        assert native("exec", "bad", "ls", "/data").stdout == "here\n"


def test_start__the_program_exits_at_once__backs_off_and_stays_when_it_can(
    native: command.Trimtab, quickstart_image: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    script = "test -e /data/go || exit 7; sleep 600"
    backoff = "restart: {backoff: {initial: 1s, max: 2s}}"
    ready = "health: {readiness: {exec: [sh, -c, 'test -e /data/go'], period: 200ms}}"
    (tmp_path / "data").mkdir()
    mounts = f"mounts: [{{bind: {tmp_path}/data, path: /data}}]"
    spec = f"command: [sh, -c, {json.dumps(script)}], {backoff}, {ready}, {mounts}"
    with bad_day.begun(native, quickstart_image, spec) as day:
        assert "exited with 7" in day.suffers("BackOff")
        day.agent.assert_shows('trimtab_container_last_exit_code{name="bad"}', 7.0)
        assert day.agent.metric('trimtab_container_restarts_total{name="bad",reason="exit"}') >= 1
        assert day.agent.metric('trimtab_plan_blocked_objects{reason="WaitingForDependency"}') == 1
        (tmp_path / "data" / "go").touch()
        day.assert_recovers()


def test_memory__more_than_the_limit_is_used__is_told_and_runs_when_it_needs_less(
    native: command.Trimtab, quickstart_image: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "size").write_text("64M\n")
    script = "busybox dd if=/dev/zero of=/dev/null bs=$(cat /data/size) count=1 && exec sleep 600; exit $?"
    spec = (
        f"command: [sh, -c, {json.dumps(script)}], resources: {{memory: 16Mi}},"
        f" mounts: [{{bind: {tmp_path}/data, path: /data}}], restart: {{backoff: {{initial: 1s, max: 2s}}}},"
        " health: {readiness: {exec: [busybox, pidof, sleep], period: 200ms}}"
    )
    with bad_day.begun(native, quickstart_image, spec) as day:
        assert "killed for want of memory" in day.suffers("BackOff")
        assert day.agent.metric('trimtab_container_oom_kills_total{name="bad"}') >= 1
        assert day.agent.metric('trimtab_container_restarts_total{name="bad",reason="oom"}') >= 1
        (tmp_path / "data" / "size").write_text("1M\n")
        day.assert_recovers()

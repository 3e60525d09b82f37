"""What somebody does behind the agent's back is found and mended, and goes no further than to what was touched."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import urllib.request

import pytest

from agent.engine.cgroups import hierarchy
from agent.engine.shim import oci_runtime
from tests import hostports
from tests.e2e import bad_day, command

pytestmark = pytest.mark.root

MEBIBYTE = 1024 * 1024


def _kill_it(day: bad_day.BadDay) -> None:
    os.kill(day.pid("bad"), signal.SIGKILL)


def _kill_its_monitor(day: bad_day.BadDay) -> None:
    bundle = day.trimtab.instance.where.bundles / day.container("bad")["id"]
    os.kill(int((bundle / "conmon.pid").read_text()), signal.SIGKILL)


def _delete_it_with_the_oci_runtime(day: bad_day.BadDay) -> None:
    program = oci_runtime.remembered(day.trimtab.instance.where.run)
    assert program
    words = ["--root", day.trimtab.instance.where.oci_runtime, "delete", "--force", day.container("bad")["id"]]
    subprocess.run([program.path, *words], check=False, capture_output=True)  # the agent is at it at the same time


def _good_reaches_bad(day: bad_day.BadDay) -> bool:
    fetch = ("busybox", "timeout", "2", "wget", "-q", "-O", "-", "http://bad/")
    return "html" in day.trimtab("exec", "good", *fetch).stdout


def _serves(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
        return b"html" in answer.read()
    return False


@pytest.mark.parametrize("violence", [_kill_it, _kill_its_monitor, _delete_it_with_the_oci_runtime])
def test_container__killed_behind_our_back__runs_again_at_once_and_is_counted(
    native: command.Trimtab, quickstart_image: pathlib.Path, violence
) -> None:
    with bad_day.begun(native, quickstart_image, bad_day.SLEEP, relist="60s") as day:
        day.assert_recovers()
        before = day.container("bad")
        violence(day)
        day.agent.assert_shows('trimtab_container_restarts_total{name="bad",reason="exit"}', 1.0)
        day.assert_recovers()
        after = day.container("bad")
        assert (after["id"], after["state"]) == (before["id"], "running")
        assert after["pid"] != before["pid"]
        assert native.objects()["Container/bad"]["restarts"] == 1
        assert native("exec", "bad", "sh", "-c", "echo here").stdout == "here\n"
        assert not pathlib.Path(f"/proc/{before['pid']}").exists()


def test_container__deleted_with_its_writable_layer__runs_again(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    """Nothing but its record is left: process, bundle and writable layer are gone."""
    with bad_day.begun(native, quickstart_image, bad_day.SLEEP, relist="60s") as day:
        day.assert_recovers()
        before = day.container("bad")
        _delete_it_with_the_oci_runtime(day)
        shutil.rmtree(day.trimtab.instance.where.containers / before["id"], ignore_errors=True)
        day.agent.assert_shows('trimtab_container_restarts_total{name="bad",reason="exit"}', 1.0)
        day.assert_recovers()
        assert native("exec", "bad", "sh", "-c", "echo here").stdout == "here\n"


def test_network__its_bridge_is_deleted__is_made_again_and_the_same_containers_reach_each_other(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    with bad_day.begun(native, quickstart_image, "command: [httpd, -f, -p, '80', -h, /www]") as day:
        day.assert_recovers()
        before = day.container("bad")
        command.assert_eventually(lambda: _good_reaches_bad(day), "good reaches bad by its name")
        (network,) = native.output("observe")["observed"]["networks"]
        subprocess.run(["ip", "link", "delete", network["id"]], check=True)
        day.agent.assert_shows('trimtab_drift_found_total{kind="Network"}', 1.0)
        command.assert_eventually(lambda: pathlib.Path("/sys/class/net", network["id"]).exists(), "the bridge")
        command.assert_eventually(lambda: _good_reaches_bad(day), "good reaches bad again")
        day.assert_recovers("Network/bridge")
        assert day.container("bad") == before


def test_ports__the_firewall_table_is_deleted__are_published_again(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    """As ``nft flush ruleset`` does, which is what reloading Debian's own nftables.service begins with."""
    port = hostports.free_port()
    spec = f"command: [httpd, -f, -p, '80', -h, /www], ports: ['127.0.0.1:{port}:80']"
    with bad_day.begun(native, quickstart_image, spec) as day:
        day.assert_recovers()
        before = day.container("bad")
        command.assert_eventually(lambda: _serves(port), "the page is served")
        table = f"trimtab-{day.trimtab.instance.where.instance}"
        subprocess.run(["nft", "delete", "table", "inet", table], check=True)
        assert not _serves(port)
        command.assert_eventually(lambda: _serves(port), "the page is served again")
        day.assert_recovers()
        assert day.container("bad") == before


def test_names__the_server_is_killed__are_known_again(native: command.Trimtab, quickstart_image: pathlib.Path) -> None:
    with bad_day.begun(native, quickstart_image, bad_day.SLEEP) as day:
        day.assert_recovers()
        before = day.container("bad")
        answer = before["addresses"][0][1]
        command.assert_eventually(lambda: answer in native("exec", "good", "nslookup", "bad").stdout, "bad has a name")
        os.kill(int((day.trimtab.instance.where.dns / "aardvark.pid").read_text()), signal.SIGKILL)
        command.assert_eventually(
            lambda: answer in native("exec", "good", "nslookup", "bad").stdout, "bad has a name again"
        )
        day.assert_recovers()
        assert day.container("bad") == before


def test_limits__changed_in_the_cgroup__are_as_declared_again_in_the_same_run(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    spec = f"{bad_day.SLEEP}, resources: {{memory: 64Mi, pids: 20}}"
    with bad_day.begun(native, quickstart_image, spec) as day:
        day.assert_recovers()
        before = day.container("bad")
        cgroup = f"{day.trimtab.instance.where.cgroup}/{before['id']}"
        host = hierarchy.of_host()
        memory, pids = host.directory("memory", cgroup), host.directory("pids", cgroup)
        assert memory
        assert pids
        limit = memory / ("memory.limit_in_bytes" if host.v1 else "memory.max")
        limit.write_text(str(32 * MEBIBYTE))
        (pids / "pids.max").write_text("7")
        day.agent.assert_shows('trimtab_drift_found_total{kind="Container"}', 1.0)
        command.assert_eventually(lambda: limit.read_text().strip() == str(64 * MEBIBYTE), "the limit of memory")
        command.assert_eventually(lambda: (pids / "pids.max").read_text().strip() == "20", "the limit of processes")
        day.assert_recovers()
        assert day.container("bad") == before


def test_layers__somebody_removes_them_all__come_back_and_what_ended_meanwhile_runs_again(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    with bad_day.begun(native, quickstart_image, bad_day.SLEEP) as day:
        day.assert_recovers()
        snapshots = day.trimtab.instance.where.snapshots
        for layer in snapshots.iterdir():
            shutil.rmtree(layer)
        before = day.pid("bad")
        os.kill(before, signal.SIGKILL)
        command.assert_eventually(lambda: day.container("bad")["pid"] not in {None, before}, "the container runs again")
        assert any(snapshots.glob("*/fs/bin"))
        keys = ("Container/bad", "Container/waiting", "Image/quickstart")
        objects = day.trimtab.objects
        command.assert_eventually(
            lambda: {objects()[key]["Ready"]["status"] for key in keys} == {"True"}, "all is ready again"
        )
        assert day.trimtab("exec", "bad", "busybox", "true").returncode == 0

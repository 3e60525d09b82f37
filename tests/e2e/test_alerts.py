"""Every alert in ``ops/prometheus``, on a recorded day on which it has to fire, after a good one on which none does."""

import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import urllib.request

import pytest

from tests import hostports, instances
from tests.e2e import alert_recording, command, disks, test_status
from tests.e2e import engine_host as engine_hosts
from tests.e2e.alert_recording import Judged, assert_alerts

pytestmark = pytest.mark.engine

GOOD = 18
"""Minutes of a good day: more than the longest ``for`` of the rules."""


def git_repository(folder: pathlib.Path) -> pathlib.Path:
    """Make a repository that declares a container."""
    folder.mkdir()
    (folder / "web.yaml").write_text(
        "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\nspec: {image: nginx, networks: none}\n"
    )
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", folder, *words], check=True)
    return folder


def test_alerts__manifests_are_rejected__is_told(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with alert_recording.recorded(trimtab, shop) as (_, day):
        good = day.record(GOOD)
        (shop / "broken.yaml").write_text("kind: [")
        bad = day.record(15)
    assert_alerts(day, tmp_path, [Judged(good, []), Judged(bad, ["TrimtabManifestsRejected"])])


def test_alerts__the_source_declares_nothing__is_told(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with alert_recording.recorded(trimtab, shop) as (_, day):
        good = day.record(GOOD)
        shutil.move(shop, tmp_path / "away")
        shop.mkdir()
        bad = day.record(15)
    assert_alerts(day, tmp_path, [Judged(good, []), Judged(bad, ["TrimtabSourceEmpty"])])


def test_alerts__the_git_repository_cannot_be_reached__is_told(
    trimtab: command.Trimtab, tmp_path: pathlib.Path
) -> None:
    repository = git_repository(tmp_path / "repository")
    with alert_recording.recorded(trimtab, f"git+file://{repository}?interval=1s") as (_, day):
        good = day.record(GOOD)
        repository.rename(tmp_path / "away")
        bad = day.record(30)
    assert_alerts(day, tmp_path, [Judged(good, []), Judged(bad, ["TrimtabSourceNotRead"])])


class Unheard(command.Agent):
    """An agent whose stderr nobody reads: its port is known beforehand."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        super().__init__(process, pathlib.Path("/dev/null"))
        self._url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> tuple[int, str]:
        """Ask its HTTP server: (status, body)."""
        with urllib.request.urlopen(self._url + path, timeout=command.PATIENCE) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode()

    def is_up(self) -> bool:
        """Return whether it answers."""
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False


def test_alerts__nobody_reads_the_log__is_told(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    port = hostports.free_port()
    words = trimtab.command("run", shop, "--listen", f"127.0.0.1:{port}")
    hurried = {**trimtab.environment, "TRIMTAB_CONVERGE_RELIST": "100ms"}
    with subprocess.Popen(words, stderr=subprocess.PIPE, env=hurried, cwd=instances.REPOSITORY) as process:
        agent = Unheard(process, port)
        try:
            command.assert_eventually(agent.is_up, "it answers")
            day = alert_recording.Recording(agent)
            good = day.record(GOOD)
            revisions = itertools.count()

            def has_dropped() -> bool:
                wrong = f"kind: Wrong{next(revisions)}{'x' * 500}\n---\n"
                (shop / "wrong.yaml").write_text(wrong * 200)
                return day.value("trimtab_log_lines_dropped_total") > 0

            day.record_until(has_dropped, "dropped lines")
            bad = day.record(3)
        finally:
            process.kill()
    assert_alerts(day, tmp_path, [Judged(good, []), Judged(bad, ["TrimtabLogNotRead"], "TrimtabLogNotRead")])


def test_alerts__the_agent_is_gone__is_told(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with alert_recording.recorded(trimtab, shop) as (agent, day):
        good = day.record(GOOD)
        agent.send(signal.SIGKILL)
        agent.wait()
        bad = day.record(6)
    assert_alerts(day, tmp_path, [Judged(good, []), Judged(bad, ["TrimtabAgentDown"])])


def test_alerts__an_error_that_nobody_expected__is_told(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with alert_recording.recorded(trimtab, shop, TRIMTAB_FAILPOINTS="converge.understand=error@6") as (_, day):

        def has_met_it() -> bool:
            with (shop / "web.yaml").open("a") as file:
                file.write("# to have the source read once more\n")
            return day.value("trimtab_internal_errors_total") > 0

        good = day.record(10)
        day.record_until(has_met_it, "the error")
        bad = day.record(3)
    assert_alerts(day, tmp_path, [Judged(good, []), Judged(bad, ["TrimtabInternalError"])])


@pytest.mark.parametrize("engine_host", ["docker"], indirect=True)
def test_alerts__the_engine_is_stopped__is_told(
    engine_host: engine_hosts.EngineHost, home: pathlib.Path, quickstart_image: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = test_status.declare(home, quickstart_image)
    with alert_recording.recorded(engine_host.trimtab, folder) as (_, day):
        good = day.record(GOOD)
        engine_host.switch.stop()
        bad = day.record(13)
    expected = ["TrimtabEventsLost", "TrimtabRuntimeNotObserved"]  # and what the probes can no longer ask is not ready
    assert_alerts(day, tmp_path, [Judged(good, []), Judged(bad, expected, "|".join(expected))])


STREET = command.IMAGE
CONTAINER = """apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: {name}}}
spec: {{image: {image}, stop: {{gracePeriod: 0s}}, restart: {{backoff: {{initial: 50ms, max: 200ms}}}}, {spec}}}
"""
SLEEP = "command: [sleep, '600']"
SICK = {
    "crash": "command: [sh, -c, exit 3]",
    "memory": "command: [sh, -c, busybox dd if=/dev/zero of=/dev/null bs=64M count=1], resources: {memory: 16Mi}",
    "probed": f"{SLEEP}, health: {{liveness: {{exec: [sh, -c, exit 1], period: 200ms, failureThreshold: 1}}}}",
    "dead": f"{SLEEP}, restart: {{policy: Never}}, health: {{liveness: {{exec: [sh, -c, exit 1], period: 200ms}}}}",
    "child": "command: [sh, -c, 'while :; do busybox dd if=/dev/zero of=/dev/null bs=64M count=1; sleep 0.3; done'],"
    " resources: {memory: 16Mi}",
    "wrong": "command: [/no/such/program]",
}


def declare(native: command.Trimtab, name: str, spec: str, image: str = "{name: quickstart}") -> None:
    """Declare one more container."""
    folder = native.home / "manifests"
    if "policy: Never" in spec:
        text = CONTAINER.replace("restart: {{backoff: {{initial: 50ms, max: 200ms}}}}, ", "")
    else:
        text = CONTAINER
    (folder / f".{name}").write_text(text.format(name=name, image=image, spec=spec))
    (folder / f".{name}").rename(folder / f"{name}.yaml")


@pytest.fixture
def street(native: command.Trimtab, quickstart_image: pathlib.Path) -> command.Trimtab:
    """An instance with a container that is well."""
    (native.home / "manifests" / "image.yaml").write_text(STREET.format(image=quickstart_image))
    declare(native, "well", SLEEP)
    return native


@pytest.mark.root
def test_alerts__containers_crash_starve_fail_probes_or_cannot_work__each_is_told_by_name(
    street: command.Trimtab, tmp_path: pathlib.Path
) -> None:
    with alert_recording.recorded(street, street.home / "manifests") as (_, day):
        good = day.record(GOOD)
        for name, spec in SICK.items():
            declare(street, name, spec)
        declare(street, "unpulled", SLEEP, "127.0.0.1:1/nobody/nothing:1")
        day.record_until(lambda: day.value("trimtab_container_oom_kills_total", name="memory") > 1, "the OOM killer")
        bad = day.record(35)
    assert_alerts(
        *(day, tmp_path),
        [
            Judged(good, []),
            Judged(bad, ["TrimtabNotConverged"], "TrimtabNotConverged"),
            Judged(
                bad,
                [f'TrimtabContainerRestartsOften{{name="{name}"}}' for name in ("crash", "memory")],
                *(
                    "TrimtabContainerRestartsOften",
                    "|".join({"well", *SICK} - {"probed"}),
                ),  # that depends on its probes
            ),
            Judged(bad, ['TrimtabContainerOutOfMemory{name="memory"}'], "TrimtabContainerOutOfMemory"),
            Judged(bad, ['TrimtabProcessOutOfMemory{name="child"}'], "TrimtabProcessOutOfMemory"),
            Judged(
                bad,
                [f'TrimtabContainerUnhealthy{{name="{name}"}}' for name in ("dead", "probed")],
                "TrimtabContainerUnhealthy",
            ),
            Judged(bad, ['TrimtabObjectStalled{name="wrong"}'], "TrimtabObjectStalled"),
            Judged(
                bad,
                [
                    f'TrimtabObjectNotReady{{name="{name}"}}'
                    for name in (*sorted({*SICK, "unpulled"} - {"child"}), "127.0.0.1:1/nobody/nothing:1")
                ],
                "TrimtabObjectNotReady",
            ),
        ],
        by=("name",),
    )


@pytest.mark.root
def test_alerts__somebody_kills_again_and_again__is_told_as_drift(
    street: command.Trimtab, tmp_path: pathlib.Path
) -> None:
    with alert_recording.recorded(street, street.home / "manifests") as (agent, day):
        good = day.record(GOOD)
        for kills in range(1, 13):
            for pid, where in street.instance.processes().items():
                if where.startswith("in "):
                    os.kill(pid, signal.SIGKILL)
            day.record_until(
                lambda: day.value("trimtab_drift_found_total", kind="Container") >= kills,  # noqa: B023 - asked at once
                "the drift",
            )
            agent.runs("well")
        bad = day.record(3)
    assert_alerts(
        *(day, tmp_path),
        [Judged(good, []), Judged(bad, ["TrimtabDriftAgainAndAgain"], "TrimtabDriftAgainAndAgain")],
    )


@pytest.mark.root
def test_alerts__the_disk_is_full__is_told(native: command.Trimtab, quickstart_image: pathlib.Path, tmp_path) -> None:
    with disks.root_of(native, "64m") as root:
        (native.home / "manifests" / "image.yaml").write_text(STREET.format(image=quickstart_image))
        declare(native, "well", SLEEP)
        with alert_recording.recorded(native, native.home / "manifests") as (_, day):
            good = day.record(GOOD)
            with disks.full_disk(root):
                declare(native, "more", SLEEP)
                bad = day.record(25)
    expected = ["TrimtabDiskFilling", "TrimtabJournalNotWritten"]
    assert_alerts(
        day, tmp_path, [Judged(good, []), Judged(bad, expected, "TrimtabDiskFilling|TrimtabJournalNotWritten")]
    )


@pytest.mark.root
def test_alerts__something_cannot_be_cleaned_up__is_told(street: command.Trimtab, tmp_path: pathlib.Path) -> None:
    with alert_recording.recorded(street, street.home / "manifests") as (_, day):
        good = day.record(GOOD)
        (bundle,) = street.instance.where.bundles.iterdir()
        stuck = bundle / "stuck"
        stuck.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "trimtab-test", stuck], check=True)
        try:
            (street.home / "manifests" / "well.yaml").unlink()
            day.record_until(lambda: day.value("trimtab_notices", reason="CleanUpFailed"), "the notice")
            bad = day.record(15)
        finally:
            subprocess.run(["umount", stuck], check=True)
        day.record_until(lambda: not day.value("trimtab_notices", reason="CleanUpFailed"), "it is cleaned up")
    assert_alerts(day, tmp_path, [Judged(good, []), Judged(bad, ["TrimtabCleanUpFailing"], "TrimtabCleanUpFailing")])


@pytest.mark.root
def test_alerts__a_database_is_damaged__is_told(street: command.Trimtab, tmp_path: pathlib.Path) -> None:
    folder = street.home / "manifests"
    with street.running(folder) as agent:
        agent.runs("well")
    records = street.instance.where.records
    with alert_recording.recorded(street, folder) as (agent, day):
        good = day.record(GOOD)
        agent.send(signal.SIGKILL)
        agent.wait()
    assert_alerts(day, tmp_path, [Judged(good, [])])
    for path in records.parent.glob(f"{records.name}*"):
        path.write_bytes(b"damage" * 1000)
    with alert_recording.recorded(street, folder) as (_, day):
        bad = day.record(3)
    for path in records.parent.glob("*.damaged-*"):  # whoever looks for what an instance leaves need not find it
        path.unlink()
    assert_alerts(day, tmp_path, [Judged(bad, ["TrimtabRecordsDamaged"])])

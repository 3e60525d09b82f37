"""State that an earlier release has left on disk: this one takes it over as it is, as after a reboot."""

import json
import pathlib
import platform
from collections.abc import Iterator
from typing import Any

import pytest

from agent.converge import journal
from agent.drivers.docker import sidecar
from tests import damages
from tests.compat import golden
from tests.e2e import command

pytestmark = [
    pytest.mark.root,
    pytest.mark.xdist_group("compat"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="golden images are of that machine"),
]
RUNNING = ("web", "worker", "layer")


@pytest.fixture(params=golden.RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def native(release: str) -> Iterator[command.Trimtab]:
    with golden.restored(release, "native") as trimtab:
        yield trimtab


def _observed(document: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {entry.get("name", entry.get("reference")): entry for entry in document["observed"][kind]}


def _steps(trimtab: command.Trimtab) -> set[tuple[str, str]]:
    document = json.loads(trimtab("plan", trimtab.instance.source, "--output", "json").stdout)
    return {(step["action"], step["object"]) for step in document["steps"]}


def test_plan__golden_state_after_a_reboot__starts_what_ran_and_changes_nothing(native: command.Trimtab) -> None:
    steps = _steps(native)
    assert {action for action, _ in steps} == {"StartContainer", "CreateNetwork"}, "bridges are gone, too"
    started = {key for action, key in steps if action == "StartContainer"}
    assert {"Container/web", "Container/layer"} <= started <= {f"Container/{name}" for name in (*RUNNING, "crashing")}


def test_status__golden_state__says_what_the_release_said(native: command.Trimtab, release: str) -> None:
    golden_state = {entry["object"]: entry for entry in golden.expected(release, "native")["status"]["objects"]}
    after = native.objects()
    assert set(after) == set(golden_state)
    assert {key: entry["restarts"] for key, entry in after.items()} == {
        key: entry["restarts"] for key, entry in golden_state.items()
    }


def test_run__golden_state__what_ran_runs_again_and_nothing_is_lost(native: command.Trimtab, release: str) -> None:
    golden_state = golden.expected(release, "native")
    before = _observed(golden_state["observe"], "containers")
    restarts = {entry["object"]: entry["restarts"] for entry in golden_state["status"]["objects"]}
    with native.running(native.instance.source) as agent:
        agent.says('"port"')
        for name in RUNNING:
            agent.assert_shows(
                f'trimtab_object_condition{{kind="Container",name="{name}",status="True",type="Ready"}}', 1.0
            )
        agent.assert_shows('trimtab_object_ready_reason{kind="Container",name="job",reason="Completed"}', 1.0)
        observed = native.output("observe")
        after = _observed(observed, "containers")
        objects = native.objects()
        assert agent.metric("trimtab_internal_errors_total") == 0
    assert {name: entry["id"] for name, entry in after.items()} == {name: entry["id"] for name, entry in before.items()}
    for name in RUNNING:
        assert objects[f"Container/{name}"]["restarts"] == restarts[f"Container/{name}"] + 1
    golden.assert_same(
        {name: after[name] for name in ("failed", "job")}, {name: before[name] for name in ("failed", "job")}
    )
    for kind in ("images", "networks", "volumes"):
        golden.assert_same(_observed(observed, kind), _observed(golden_state["observe"], kind))
    assert ["shop", "10.213.90.10"] in after["web"]["addresses"]
    assert_kept(native, before)
    assert_history_kept(native, golden_state["journal"])
    assert native("delete", native.instance.source).returncode == 0
    assert _observed(native.output("observe"), "volumes").keys() == {"kept", "orphan"}, "what is retained stays"


@pytest.mark.parametrize("kind", damages.KINDS)
def test_run__golden_state_is_damaged__the_agent_starts_and_data_is_kept(native: command.Trimtab, kind: str) -> None:
    """What earlier releases have left has no redo log: what can still be read is taken over, and the rest made anew."""
    for name in ("engine.sqlite", "agent.sqlite"):
        damages.damage(native.home / "root" / name, kind, seed=7)
    with native.running(native.instance.source) as agent:
        agent.assert_ready()
        kept = native.instance.where.volumes / "kept" / "_data" / "job"
        assert kept.read_text().startswith("ran\n")
        assert agent.metric("trimtab_internal_errors_total") == 0
        for name in ("layer",):  # it needs no image from a registry
            agent.runs(name)


def assert_kept(trimtab: command.Trimtab, before: dict[str, dict[str, Any]]) -> None:
    """Assert that volumes and writable layers have what they had."""
    volumes = trimtab.instance.where.volumes
    assert (volumes / "kept" / "_data" / "job").read_text() == "ran\n", "a job that has completed is not run again"
    assert (volumes / "scratch" / "_data" / "worker").read_text() == "ran\nran\n"
    layer = trimtab.instance.where.containers / before["layer"]["id"]
    assert [path.read_text() for path in layer.rglob("mine") if path.is_file()][:1] == ["ran\nran\n"]


def assert_history_kept(trimtab: command.Trimtab, before: dict[str, list[list[Any]]]) -> None:
    """Assert that all revisions, plans and outcomes of before are known."""
    after = golden.journal(trimtab.home)
    revisions = {row[0] for row in before["revisions"]}
    assert revisions <= {row[0] for row in after["revisions"]}
    for table in ("plans", "outcomes"):
        assert after[table][: len(before[table])] == before[table]


def test_notes__golden_state_of_docker__are_all_understood(release: str, tmp_path: pathlib.Path) -> None:
    golden_state = golden.expected(release, "docker")
    path = tmp_path / "docker.json"
    path.write_text(json.dumps(golden_state["notes"]))
    book = sidecar.StateFile(path)
    assert {name: [list(pair) for pair in labels] for name, labels in book.images().items()} == dict(
        golden_state["notes"]["images"]
    )
    for name, labels in golden_state["notes"]["volumes"]:
        assert [list(pair) for pair in book.volume(name) or ()] == labels
    for identity, note in golden_state["notes"]["containers"]:
        assert book.container(identity).stop_requested_at == note.get("stop_requested_at", 0.0)
    assert golden_state["notes"]["images"]
    assert golden_state["notes"]["volumes"]


def test_journal__golden_state_of_docker__is_all_understood(release: str) -> None:
    golden_state = golden.expected(release, "docker")
    with golden.restored(release, "docker") as trimtab, journal.Journal(trimtab.home / "root" / "agent.sqlite") as book:
        objects = {entry["object"]: entry["restarts"] for entry in golden_state["status"]["objects"]}
        assert {str(status.key) for status in book.statuses()} == set(objects)
        counts = {str(entry.key): sum(restart.count for restart in entry.restarts) for entry in book.ledger()}
        assert counts == {key: count for key, count in objects.items() if key in counts}
        good = book.good()
        assert good is not None
        assert good.desired.revision == golden_state["status"]["revision"]
        assert [row.revision for row in book.history.revisions()] == [
            row[0] for row in reversed(golden_state["journal"]["revisions"])
        ]
        assert len(book.history.plans()) == len(golden_state["journal"]["plans"])

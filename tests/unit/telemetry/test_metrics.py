"""What is scraped, by what was told."""

import dataclasses
import pathlib
import subprocess

import pytest
import yaml

from agent import errors
from agent.converge import signals
from agent.kit import disk_space, machine
from agent.manifests import problem
from agent.model import container, health, image, instances, ledger, state, suspension
from agent.model.key import Kind, ObjectKey
from agent.observe import checks, probes
from agent.plan import actions
from agent.reasons import Reason
from agent.runtime import api, events
from agent.sources import api as sources
from agent.telemetry import families, metrics, metrics_page
from tests import builders
from tests.unit.telemetry import conftest

LIMITS = container.Resources(cpu_millis=500, memory=64 << 20, memory_reservation=None, pids=20)
WEB = builders.config("web", resources=LIMITS)
KEY = state.key_of(WEB)
SITE = image.ImageConfig("site", "localhost/site:latest", image.BuildSource("/app", "/app/Dockerfile", "1"))
CAUSE = actions.Cause(Reason.EXITED, "exited with 1")


def with_prefix(samples: dict[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in samples.items() if name.startswith(prefix)}


def ones(samples: dict[str, float], prefix: str) -> set[str]:
    """Return the labels of series that are 1."""
    return {name for name, value in with_prefix(samples, prefix).items() if value == 1}


async def test_scrape__nothing_was_told__is_there_all_the_same(stage: conftest.Stage) -> None:
    samples = await stage.scrape()
    assert with_prefix(samples, "trimtab_build_info{python=") == {'"3.11.7",runtime="memory",version="0.1.0"}': 1} or (
        len(with_prefix(samples, "trimtab_build_info")) == 1
    )
    assert samples['trimtab_source_reads_total{result="failed"}'] == 0
    assert samples["trimtab_event_stream_up{}"] == 0


async def test_scrape__disk_and_images_collected__are_told_where_they_are_known(stage: conftest.Stage) -> None:
    samples = await stage.scrape()
    assert samples["trimtab_images_collected_total{}"] == 0
    assert "trimtab_disk_size_bytes{}" not in samples
    stage.usage.disk_space = disk_space.DiskSpace(1000, 150)
    for name in ("app:1", "app:2"):
        event = events.RuntimeEvent(Kind.IMAGE, name, name, events.EventAction.COLLECTED, builders.NOW)
        stage.sink.take(signals.RuntimeEvent(event))
    samples = await stage.scrape()
    assert (samples["trimtab_disk_size_bytes{}"], samples["trimtab_disk_available_bytes{}"]) == (1000, 150)
    assert samples["trimtab_images_collected_total{}"] == 2


async def test_scrape__builds__are_counted_by_their_steps_and_ends_for_as_long_as_they_are_declared(
    stage: conftest.Stage,
) -> None:
    built = dataclasses.replace(builders.observed_image(SITE), size=4096)
    action = actions.EnsureImage(ObjectKey(Kind.IMAGE, "site"), CAUSE, SITE)
    for step in (None, api.StepResult.CACHED, api.StepResult.CACHED, api.StepResult.DONE, api.StepResult.FAILED):
        stage.sink.take(signals.ActionProgress(action, api.Progress("[2/2] RUN a", build_step=step)))
    for result in (signals.Result.SUCCEEDED, signals.Result.FAILED, signals.Result.SUPERSEDED):
        stage.sink.take(signals.ActionFinished(action, result, 2.0, None, builders.NOW))
    pulled = dataclasses.replace(action, config=builders.image_config())
    stage.sink.take(signals.ActionFinished(pulled, signals.Result.SUCCEEDED, 2.0, None, builders.NOW))
    stage.sink.take(conftest.walked(builders.desired(SITE, image=False), builders.world(built)))
    samples = await stage.scrape()
    assert with_prefix(samples, "trimtab_build_steps_total") == {
        '{name="site",result="cached"}': 2,
        '{name="site",result="done"}': 1,
        '{name="site",result="failed"}': 1,
    }
    assert with_prefix(samples, "trimtab_build_duration_seconds_count") == {
        '{result="succeeded"}': 1,
        '{result="failed"}': 1,
    }
    assert samples['trimtab_build_image_size_bytes{name="site"}'] == 4096
    stage.sink.take(conftest.walked(builders.desired(), builders.world()))
    samples = await stage.scrape()
    assert with_prefix(samples, "trimtab_build_steps_total") == {}
    assert with_prefix(samples, "trimtab_build_image_size_bytes") == {}


async def test_scrape__container_runs__tells_its_state_and_conditions(stage: conftest.Stage) -> None:
    counts = (ledger.RestartCount(ledger.RestartReason.EXIT, 4), ledger.RestartCount(ledger.RestartReason.OOM, 1))
    memory = builders.remembered(WEB, restarts=counts)
    stage.sink.take(conftest.walked(builders.desired(WEB), builders.world(builders.observed(WEB), ledger=(memory,))))
    samples = await stage.scrape()
    assert ones(samples, 'trimtab_object_condition{kind="Container",name="web",') == {
        'status="True",type="Ready"}',
        'status="False",type="Reconciling"}',
        'status="False",type="Stalled"}',
    }
    assert ones(samples, "trimtab_object_ready_reason") == {
        '{kind="Container",name="web",reason="Running"}',
        f'{{kind="Image",name="{builders.IMAGE}",reason="Available"}}',
    }
    assert with_prefix(samples, "trimtab_container_state") == {
        '{name="web",state="missing"}': 0,
        '{name="web",state="created"}': 0,
        '{name="web",state="running"}': 1,
        '{name="web",state="exited"}': 0,
    }
    assert ones(samples, "trimtab_container_health") == {'{health="healthy",name="web"}'}
    assert with_prefix(samples, "trimtab_container_restarts_total") == {
        '{name="web",reason="exit"}': 4,
        '{name="web",reason="oom"}': 1,
        '{name="web",reason="unhealthy"}': 0,
    }
    assert samples['trimtab_container_start_time_seconds{name="web"}'] == 950.0
    assert samples['trimtab_desired_objects{kind="Container"}'] == 1
    assert samples['trimtab_observed_objects{bucket="matching",kind="Container"}'] == 1
    assert samples["trimtab_relist_age_seconds{}"] == 5.0
    assert samples["trimtab_reconcile_last_success_timestamp_seconds{}"] == builders.NOW
    assert samples["trimtab_plan_steps{}"] == 0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (health.ObservedHealth("id-web", True, True, True, "", None), "healthy"),
        (health.ObservedHealth("id-web", False, False, True, "", None), "starting"),
        (health.ObservedHealth("id-web", True, False, True, "", None), "starting"),
        (health.ObservedHealth("id-web", True, False, True, "readiness: refused", None), "unready"),
        (health.ObservedHealth("id-web", True, False, False, "", 1.0), "unhealthy"),
    ],
)
async def test_scrape__container_is_probed__tells_its_health(
    stage: conftest.Stage, answer: health.ObservedHealth, expected: str
) -> None:
    observed = builders.world(builders.observed(WEB), health=(answer,))
    stage.sink.take(conftest.walked(builders.desired(WEB), observed))
    assert ones(await stage.scrape(), "trimtab_container_health") == {f'{{health="{expected}",name="web"}}'}


async def test_scrape__containers_are_instances__says_of_which_object(stage: conftest.Stage) -> None:
    both = instances.expand([WEB], {"web": 2})
    stage.sink.take(conftest.walked(builders.desired(*both), builders.world(*map(builders.observed, both))))
    samples = await stage.scrape()
    assert {name.partition('object="')[2] for name in with_prefix(samples, "trimtab_container_info")} == {
        'web",ordinal="0"}',
        'web",ordinal="1"}',
    }
    assert samples['trimtab_container_state{name="web-1",state="running"}'] == 1
    assert samples['trimtab_desired_objects{kind="Container"}'] == 1


async def test_scrape__container_is_not_there__is_missing(stage: conftest.Stage) -> None:
    stage.sink.take(conftest.walked(builders.desired(WEB), builders.world()))
    samples = await stage.scrape()
    assert ones(samples, "trimtab_container_state") == {'{name="web",state="missing"}'}
    assert with_prefix(samples, "trimtab_container_info") == {}
    assert samples["trimtab_plan_steps{}"] == 2


async def test_scrape__runtime_does_not_answer__tells_the_rest(stage: conftest.Stage) -> None:
    stage.sink.take(conftest.walked(builders.desired(WEB), builders.world(builders.observed(WEB))))
    stage.usage.failure = errors.Unavailable("no engine")
    samples = await stage.scrape()
    assert with_prefix(samples, "container_") == {}
    assert ones(samples, "trimtab_container_state") == {'{name="web",state="running"}'}


async def test_scrape__container_ended__tells_how_also_after_its_restart(stage: conftest.Stage) -> None:
    ended = builders.exited(WEB, 137, oom_killed=True)
    for observed in (ended, ended, builders.observed(WEB), builders.exited(WEB, 137, at=995.0, oom_killed=True)):
        stage.sink.take(conftest.walked(builders.desired(WEB), builders.world(observed)))
    samples = await stage.scrape()
    assert samples['trimtab_container_last_exit_code{name="web"}'] == 137
    assert samples['trimtab_container_oom_kills_total{name="web"}'] == 2
    event = events.RuntimeEvent(Kind.CONTAINER, "id-web", "web", events.EventAction.EXITED, 1.0, exit_code=3)
    stage.sink.take(signals.RuntimeEvent(event))
    assert (await stage.scrape())['trimtab_container_last_exit_code{name="web"}'] == 3


async def test_scrape__container_leaves__so_do_all_its_series(stage: conftest.Stage) -> None:
    stage.usage.stats_by_id = {"id-web": conftest.USAGE}
    other = builders.config("api")
    both = builders.world(
        builders.observed(other), builders.exited(WEB, 1, oom_killed=True), ledger=(builders.remembered(WEB),)
    )
    stage.sink.take(conftest.walked(builders.desired(WEB, other), both))
    stage.sink.take(
        signals.ProbeFinished(
            probes.ProbeResult("web", "liveness", outcome=checks.ProbeOutcome.FAILURE, message="", duration=0.1)
        )
    )
    stage.sink.take(conftest.walked(builders.desired(WEB, other), both))
    assert any('name="web"' in name for name in await stage.scrape())
    stage.sink.take(conftest.walked(builders.desired(other), builders.world(builders.observed(other))))
    samples = await stage.scrape()
    assert not any('name="web"' in name for name in samples)
    assert any('name="api"' in name for name in samples)


async def test_scrape__actions_ended__are_counted_by_kind_and_result(stage: conftest.Stage) -> None:
    start = actions.StartContainer(KEY, CAUSE, "web", None, 0)
    create = actions.CreateContainer(KEY, CAUSE, WEB, "web")
    for action, result, duration in (
        (start, signals.Result.SUCCEEDED, 0.02),
        (start, signals.Result.FAILED, 400.0),
        (start, signals.Result.SKIPPED, 0.0),
        (create, signals.Result.SUPERSEDED, 0.0),
    ):
        stage.sink.take(signals.ActionFinished(action, result, duration, None, 1.0))
    samples = await stage.scrape()
    assert with_prefix(samples, "trimtab_actions_total") == {
        '{action="StartContainer",result="succeeded"}': 1,
        '{action="StartContainer",result="failed"}': 1,
        '{action="StartContainer",result="skipped"}': 1,
        '{action="CreateContainer",result="superseded"}': 1,
    }
    durations = with_prefix(samples, "trimtab_action_duration_seconds")
    assert durations['_count{action="StartContainer"}'] == 2
    assert durations['_sum{action="StartContainer"}'] == 400.02
    assert durations['_bucket{action="StartContainer",le="0.01"}'] == 0
    assert durations['_bucket{action="StartContainer",le="0.0384"}'] == 1
    assert durations['_bucket{action="StartContainer",le="469.3"}'] == 2
    assert '_count{action="CreateContainer"}' not in durations


async def test_scrape__drift_is_found__is_counted_once_however_often_it_is_planned(stage: conftest.Stage) -> None:
    memory = (builders.remembered(WEB),)
    drifted = conftest.walked(builders.desired(WEB), builders.world(ledger=memory))
    well = conftest.walked(builders.desired(WEB), builders.world(builders.observed(WEB), ledger=memory))
    assert drifted.plan.drift
    for finished in (drifted, drifted, well, drifted):
        stage.sink.take(finished)
    assert (await stage.scrape())['trimtab_drift_found_total{kind="Container"}'] == 2


async def test_scrape__passes_were_made__tells_how_long_and_why(stage: conftest.Stage) -> None:
    stage.sink.take(conftest.walked(builders.desired(WEB), builders.world(builders.observed(WEB))))
    stage.sink.take(signals.PassFailed((signals.Trigger.TIMER, signals.Trigger.RELIST), 2.0, OSError("x"), 1.0))
    samples = await stage.scrape()
    assert samples['trimtab_reconcile_duration_seconds_count{result="success"}'] == 1
    assert samples['trimtab_reconcile_duration_seconds_sum{result="failure"}'] == 2.0
    assert with_prefix(samples, "trimtab_reconcile_triggers_total") == {
        '{trigger="runtime"}': 1,
        '{trigger="timer"}': 1,
        '{trigger="relist"}': 1,
    }


async def test_scrape__object_waits__tells_for_what(stage: conftest.Stage) -> None:
    observed = builders.world(builders.exited(WEB, 1, at=999.0), ledger=(builders.remembered(WEB, streak=6),))
    stage.sink.take(conftest.walked(builders.desired(WEB), observed))
    samples = await stage.scrape()
    assert samples['trimtab_plan_blocked_objects{reason="BackOff"}'] == 1


async def test_scrape__never_converged__last_success_is_when_the_agent_began(stage: conftest.Stage) -> None:
    name = "trimtab_reconcile_last_success_timestamp_seconds{}"
    stage.clock.at += 1000.0
    assert (await stage.scrape())[name] == builders.NOW + 5.0
    observed = builders.world(builders.exited(WEB, 1, at=999.0), ledger=(builders.remembered(WEB, streak=6),))
    stage.sink.take(conftest.walked(builders.desired(WEB), observed))
    assert (await stage.scrape())[name] == builders.NOW + 5.0
    well = dataclasses.replace(builders.world(builders.observed(WEB)), observed_at=builders.NOW + 900.0)
    stage.sink.take(conftest.walked(builders.desired(WEB), well))
    assert (await stage.scrape())[name] == builders.NOW + 900.0


@pytest.mark.parametrize(("known_by", "outdated"), [(("sha256:new",), 0), (("sha256:old",), 1), ((), 1)])
async def test_scrape__image_follows_its_registry__tells_whether_it_is_the_newest(
    stage: conftest.Stage, known_by: tuple[str, ...], outdated: int
) -> None:
    desired = dataclasses.replace(builders.desired(WEB), follows=(builders.follow(interval=60.0),))
    answer = ledger.LatestImage(builders.IMAGE, 990.0, builders.IMAGE, "sha256:new", "no route")
    entry = ledger.LedgerEntry(ObjectKey(Kind.IMAGE, builders.IMAGE), "", newest=answer)
    existing_image = dataclasses.replace(builders.observed_image(), digests=known_by)
    observed = builders.world(builders.observed(WEB), ledger=(entry,)).with_objects({Kind.IMAGE: (existing_image,)})
    stage.sink.take(conftest.walked(desired, observed))
    samples = await stage.scrape()
    label = f'{{name="{builders.IMAGE}"}}'
    assert samples[f"trimtab_image_outdated{label}"] == outdated
    assert samples[f"trimtab_image_check_timestamp_seconds{label}"] == 990.0
    assert samples[f"trimtab_image_check_failed{label}"] == 1


async def test_scrape__source_was_read__tells_what_came_of_it(stage: conftest.Stage) -> None:
    wrong = (problem.Problem("a.yaml", 1, 1, "oh"), problem.Problem("a.yaml", 2, 1, "no"))
    stage.sink.take(signals.SourceRead("/srv", "r1", 3, changed=True, empty=False, at=10.0))
    stage.sink.take(signals.SourceLooked("/srv", sources.SourceHealth().succeeded("r1", 10.0)))
    stage.sink.take(signals.RevisionApplied("r1", 0.3, 11.0))
    stage.sink.take(signals.SourceRejected("/srv", "r2", wrong, 20.0, is_first=False))
    stage.sink.take(signals.SourceLooked("/srv", sources.SourceHealth().succeeded("r2", 20.0)))
    for at in (30.0, 40.0):
        stage.sink.take(signals.SourceFailed("/srv", "gone", "", repeated=at > 30.0, at=at))
        stage.sink.take(signals.SourceLooked("/srv", stage.sink.source.health.failed("gone", at)))
    samples = await stage.scrape()
    assert with_prefix(samples, "trimtab_source_reads_total") == {
        '{result="good"}': 1,
        '{result="rejected"}': 1,
        '{result="failed"}': 2,
    }
    assert samples["trimtab_source_up{}"] == 0
    assert samples["trimtab_source_last_attempt_timestamp_seconds{}"] == 40.0
    assert samples["trimtab_source_problems{}"] == 2
    assert samples["trimtab_source_last_read_timestamp_seconds{}"] == 20.0
    assert samples['trimtab_source_revision_info{revision="r2",source="/srv"}'] == 1
    assert samples['trimtab_revision_info{revision="r1"}'] == 1
    assert samples["trimtab_convergence_duration_seconds_count{}"] == 1
    stage.sink.take(signals.SourceRead("/srv", "r3", 0, changed=False, empty=True, at=40.0))
    samples = await stage.scrape()
    assert samples["trimtab_source_empty{}"] == 1
    assert samples["trimtab_source_problems{}"] == 0
    assert len(with_prefix(samples, "trimtab_source_revision_info")) == 1


async def test_scrape__things_went_wrong__are_counted(stage: conftest.Stage) -> None:
    stage.sink.take(signals.EventStream(connected=True, message="", at=1.0))
    stage.sink.take(signals.JournalFailed("disk full"))
    stage.sink.take(signals.TaskFailed("relist", KeyError("x")))
    samples = await stage.scrape()
    assert samples["trimtab_event_stream_up{}"] == 1
    assert samples["trimtab_journal_errors_total{}"] == 1
    assert samples["trimtab_internal_errors_total{}"] == 1


async def test_scrape__openmetrics_is_asked_for__is_given(stage: conftest.Stage) -> None:
    scrape = await stage.exporter.render("application/openmetrics-text; version=1.0.0", "")
    assert scrape.content_type.startswith("application/openmetrics-text")
    assert scrape.body.endswith(b"# EOF\n")


async def test_scrape__everything_was_told__needs_no_name_that_is_not_in_the_table(stage: conftest.Stage) -> None:
    _tell_everything(stage)
    scraped = {name.partition("{")[0] for name in await stage.scrape()}
    histograms = {metric.name for metric in metrics.TABLE if metric.type is families.Type.HISTOGRAM}
    exposed = {name for name in scraped if not name.startswith(("process_", "python_"))}
    for name in histograms:
        exposed -= {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
        exposed.add(name)
    assert exposed == {metric.name for metric in metrics.TABLE}


@pytest.mark.engine
async def test_scrape__everything_was_told__promtool_finds_nothing(stage: conftest.Stage) -> None:
    _tell_everything(stage)
    scrape = await stage.exporter.render("text/plain", "")
    done = subprocess.run(["promtool", "check", "metrics"], input=scrape.body, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


@pytest.mark.engine
def test_rules__looked_at_by_promtool__are_right() -> None:
    folder = pathlib.Path(__file__).parents[3] / "ops" / "prometheus"
    done = subprocess.run(
        ["promtool", "check", "rules", "trimtab.rules.yml"], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules__every_alert__is_expected_on_a_recorded_bad_day() -> None:
    top = pathlib.Path(__file__).parents[3]
    rules = yaml.safe_load((top / "ops" / "prometheus" / "trimtab.rules.yml").read_text())
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    proofs = (top / "tests" / "e2e" / "test_alerts.py").read_text()
    assert [alert for alert in alerts if alert not in proofs] == []


def test_triggers__all_that_there_are__are_in_the_manual() -> None:
    manual = metrics.BY_NAME["trimtab_reconcile_triggers_total"].help
    assert [trigger for trigger in signals.Trigger if trigger.value not in manual] == []


def test_rules__metrics_that_they_use__are_in_the_table() -> None:
    import re  # noqa: PLC0415

    rules = (pathlib.Path(__file__).parents[3] / "ops" / "prometheus" / "trimtab.rules.yml").read_text()
    used = set(re.findall(r"(?<![:\w])(?:trimtab|container)_\w+(?=[{\[ )])", rules))
    assert used <= set(metrics.BY_NAME)
    assert len(used) > 10


def test_table__printed__is_the_manual_page() -> None:
    page = pathlib.Path(__file__).parents[3] / "ops" / "docs" / "metrics.md"
    assert page.read_text() == metrics_page.document(), "python -m agent.telemetry.metrics_page > ops/docs/metrics.md"


def test_table__every_metric__is_named_as_the_field_does() -> None:
    assert len(metrics.BY_NAME) == len(metrics.TABLE)
    for metric in metrics.TABLE:
        assert metric.name.startswith(("trimtab_", "container_", "machine_"))
        assert (metric.type is families.Type.COUNTER) == metric.name.endswith("_total")
        assert metric.help.endswith(".")
        assert metric.source


def _tell_everything(stage: conftest.Stage) -> None:
    stage.usage.disk_space = disk_space.DiskSpace(1000, 150)
    stage.usage.size = machine.Machine(4, 8 << 30)
    stage.usage.stats_by_id = {"id-web": conftest.USAGE}
    waiting = builders.config("waiting")
    observed = builders.world(
        builders.observed(WEB),
        builders.exited(waiting, 1, at=999.5),
        ledger=(builders.remembered(waiting, streak=9),),
        suspensions=suspension.Suspensions(None, (suspension.Suspension(KEY, 1.0),)),
    )
    stage.sink.take(conftest.walked(builders.desired(WEB, waiting), observed))
    desired = builders.desired(WEB, waiting, SITE)
    observed = observed.with_objects({Kind.IMAGE: (*observed.images, builders.observed_image(SITE))})
    built = actions.EnsureImage(ObjectKey(Kind.IMAGE, "site"), CAUSE, SITE)
    stage.sink.take(signals.ActionProgress(built, api.Progress("RUN a", build_step=api.StepResult.DONE)))
    stage.sink.take(signals.ActionFinished(built, signals.Result.SUCCEEDED, 0.1, None, 1.0))
    followed = dataclasses.replace(desired, follows=(builders.follow(interval=60.0),))
    answer = ledger.LatestImage(builders.IMAGE, 990.0, builders.IMAGE, "sha256:" + "1" * 64)
    asked = ledger.LedgerEntry(ObjectKey(Kind.IMAGE, builders.IMAGE), "", newest=answer)
    observed = dataclasses.replace(observed, ledger=(*observed.ledger, asked))
    stage.sink.take(dataclasses.replace(conftest.walked(followed, observed), converged=True))
    stage.sink.take(
        signals.ProbeFinished(
            probes.ProbeResult("web", "liveness", outcome=checks.ProbeOutcome.SUCCESS, message="", duration=0.1)
        )
    )
    start = actions.StartContainer(ObjectKey(Kind.CONTAINER, "web"), CAUSE, "web", None, 0)
    stage.sink.take(signals.ActionFinished(start, signals.Result.SUCCEEDED, 0.1, None, 1.0))
    stage.sink.take(signals.SourceRead("/srv", "r1", 3, changed=True, empty=False, at=10.0))
    stage.sink.take(signals.SourceLooked("/srv", sources.SourceHealth().succeeded("r1", 10.0)))
    stage.sink.take(signals.RevisionApplied("r1", 0.3, 11.0))


async def test_scrape__something_is_suspended__has_a_series_while_it_is(stage: conftest.Stage) -> None:
    alone = suspension.Suspensions(None, (suspension.Suspension(KEY, 1.0),))
    series = 'trimtab_object_suspended{kind="Container",name="web"}'
    stage.sink.take(conftest.walked(builders.desired(WEB), builders.world(builders.observed(WEB), suspensions=alone)))
    samples = await stage.scrape()
    assert (samples[series], samples["trimtab_source_suspended{}"]) == (1, 0)
    source = suspension.Suspensions(1.0)
    stage.sink.take(conftest.walked(builders.desired(WEB), builders.world(builders.observed(WEB), suspensions=source)))
    samples = await stage.scrape()
    assert (samples.get(series), samples["trimtab_source_suspended{}"]) == (None, 1)

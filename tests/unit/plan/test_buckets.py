"""What each container is said to be before anything is planned for it."""

import dataclasses

import pytest

from agent.model import container, health, state
from agent.plan import plan, planner
from tests import builders

EXITED, CREATED = container.ContainerState.EXITED, container.ContainerState.CREATED
LIVENESS = health.HealthConfig(None, None, health.Probe(health.TcpProbe(80), 0.0, 1.0, 1.0, 1, 3))
ALWAYS, NEVER = (
    container.RestartConfig(name, container.BackoffConfig(1.0, 300.0, 600.0))
    for name in (container.RestartPolicy.ALWAYS, container.RestartPolicy.NEVER)
)


def bucket(config: container.ContainerConfig, *existing: object, alive: bool | None = None) -> plan.Bucket:
    """Return the bucket of a container."""
    answers = () if alive is None else (health.ObservedHealth("id-web", True, True, alive, "", builders.NOW),)
    computed = planner.compute_plan(
        builders.desired(config), builders.world(*existing, health=answers), builders.rules()
    )
    return dict(computed.buckets)[state.key_of(config)]


WEB = builders.config()
ENDED = {"exit_code": 1, "started_at": 1.0, "finished_at": 2.0}


@pytest.mark.parametrize(
    ("config", "existing", "alive", "expected"),
    [
        (WEB, (), None, plan.Bucket.MISSING),
        (WEB, (builders.observed(WEB),), None, plan.Bucket.MATCHING),
        (WEB, (builders.observed(WEB, labels=()),), None, plan.Bucket.FOREIGN),
        (dataclasses.replace(WEB, args=("x",)), (builders.observed(WEB),), None, plan.Bucket.DRIFTED),
        (dataclasses.replace(WEB, labels=(("a", "b"),)), (builders.observed(WEB),), None, plan.Bucket.DRIFTED),
        (dataclasses.replace(WEB, args=("x",)), (builders.observed(WEB, EXITED, **ENDED),), None, plan.Bucket.DRIFTED),
        (dataclasses.replace(WEB, health=LIVENESS), (builders.observed(WEB),), None, plan.Bucket.DRIFTED),
        (WEB, (builders.observed(WEB),), True, plan.Bucket.MATCHING),
        (WEB, (builders.observed(WEB),), False, plan.Bucket.FAILED),
        (WEB, (builders.observed(WEB, CREATED),), None, plan.Bucket.STOPPED),
        (dataclasses.replace(WEB, restart=ALWAYS), (), None, plan.Bucket.MISSING),
    ],
)
def test_bucket(
    config: container.ContainerConfig, existing: tuple[object, ...], alive: bool | None, expected: plan.Bucket
) -> None:
    assert bucket(config, *existing, alive=alive) is expected


@pytest.mark.parametrize(("restart", "expected"), [(ALWAYS, plan.Bucket.FAILED), (NEVER, plan.Bucket.STOPPED)])
def test_bucket__has_ended__by_what_its_policy_says(restart: container.RestartConfig, expected: plan.Bucket) -> None:
    web = dataclasses.replace(WEB, restart=restart)
    assert bucket(web, builders.observed(web, EXITED, **ENDED)) is expected


def test_bucket__no_longer_declared() -> None:
    computed = planner.compute_plan(builders.desired(), builders.world(builders.observed(WEB)), builders.rules())
    assert dict(computed.buckets)[state.key_of(WEB)] is plan.Bucket.ORPHANED


def test_bucket__as_programs_read_it__is_one_of_these_words() -> None:
    assert [bucket.value for bucket in plan.Bucket] == [
        *("missing", "matching", "drifted", "stopped", "failed", "orphaned", "foreign"),
    ]

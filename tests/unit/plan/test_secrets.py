"""Containers that refer to Secrets: planned by fingerprints alone."""

import dataclasses

import pytest

from agent.model import container, secret, state
from agent.plan import actions, plan, planner
from agent.reasons import Reason
from tests import builders

VARIABLE = secret.SecretVariable("PASSWORD", "db", "password", "f1")
VALUE = secret.SecretValue("db", "password", "f1", b"s3cr3t")
CONFIG = builders.config(secret_env=(VARIABLE,))
ROTATED = builders.config(secret_env=(dataclasses.replace(VARIABLE, fingerprint="f2"),))


def computed(
    config: container.ContainerConfig,
    values: tuple[secret.SecretValue, ...],
    *existing: container.ObservedContainer,
    at_start: bool = False,
) -> plan.Plan:
    """Plan a container over what is there, and values that are known."""
    desired: state.DesiredState = dataclasses.replace(builders.desired(config), secrets=values)
    return planner.compute_plan(desired, builders.world(*existing), builders.rules(secrets_at_start=at_start))


def kinds(result: plan.Plan) -> list[str]:
    """Return the kinds of a plan's container actions, in order."""
    return [type(step.action).__name__ for step in result.steps]


def waits(result: plan.Plan) -> list[tuple[Reason, str]]:
    """Return why the container waits."""
    return [(blocked.reason, blocked.message) for blocked in result.blocked if blocked.key.name == "web"]


UNKNOWN = (
    Reason.SECRET_UNAVAILABLE,
    "the value of PASSWORD, key password of Secret/db, is not known until the source has been read",
)


def test_value_is_known__container_is_made() -> None:
    result = computed(CONFIG, (VALUE,))
    assert "CreateContainer" in kinds(result)
    assert waits(result) == []


def test_value_is_unknown__container_waits_with_the_reason() -> None:
    result = computed(CONFIG, ())
    assert waits(result) == [UNKNOWN]
    assert "CreateContainer" not in kinds(result)


def test_value_is_another_by_now__container_waits() -> None:
    assert waits(computed(CONFIG, (dataclasses.replace(VALUE, fingerprint="f2"),))) == [UNKNOWN]


def test_unchanged__nothing_is_done__whether_the_value_is_known_or_not() -> None:
    for values in ((VALUE,), ()):
        result = computed(CONFIG, values, builders.observed(CONFIG), at_start=True)
        assert (kinds(result), waits(result)) == ([], [])


def test_rotated__container_is_replaced_and_the_plan_names_the_variable_only() -> None:
    result = computed(ROTATED, (dataclasses.replace(VALUE, fingerprint="f2"),), builders.observed(CONFIG))
    (creation,) = [step.action for step in result.steps if isinstance(step.action, actions.CreateContainer)]
    assert creation.cause.message == "env by secrets: PASSWORD changed (forces replacement)"
    assert "s3cr3t" not in repr(result)


def test_rotated_and_unknown__the_old_one_runs_on() -> None:
    result = computed(ROTATED, (), builders.observed(CONFIG))
    assert "StopContainer" not in kinds(result)
    assert [reason for reason, _ in waits(result)] == [Reason.SECRET_UNAVAILABLE]


@pytest.mark.parametrize("at_start", [True, False])
def test_ended_and_unknown__is_started_only_where_the_runtime_keeps_the_value(at_start: bool) -> None:
    ended = builders.exited(CONFIG, 1, at=1.0)
    result = computed(CONFIG, (), ended, at_start=at_start)
    assert ("StartContainer" in kinds(result)) is not at_start
    assert waits(result) == ([UNKNOWN] if at_start else [])

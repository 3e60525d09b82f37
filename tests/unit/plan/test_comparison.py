"""Fingerprints that were made with another key say nothing: nothing is planned for them, and that is said."""

import dataclasses

from agent.model import container, secret
from agent.model.key import Kind, ObjectKey
from agent.plan import comparison, planner, render
from tests import builders

THERE = secret.SecretVariable("PASSWORD", "db", "password", "hmac-sha256:there")
HERE = dataclasses.replace(THERE, fingerprint="")
VALUE = secret.SecretValue("db", "password", "", b"s3cr3t")
OBSERVED = builders.config(secret_env=(THERE,))
KEY = ObjectKey(Kind.CONTAINER, "web")
NAMES = "PASSWORD (key password of Secret/db)"


def taken(
    *configs: container.ContainerConfig, current: container.ObservedContainer | None = None
) -> tuple[list[str], comparison.Uncompared]:
    """Return the lines of the plan, and what was not compared, over the container that is there."""
    world = builders.world(current or builders.observed(OBSERVED))
    desired = dataclasses.replace(builders.desired(*configs), secrets=(VALUE, dataclasses.replace(VALUE, key="other")))
    comparable, uncompared = comparison.take_for_unchanged(desired, world, builders.OWNER)
    return render.text(planner.compute_plan(comparable, world, builders.rules())).splitlines(), uncompared


def test_same_reference__is_taken_for_unchanged_and_named() -> None:
    assert taken(builders.config(secret_env=(HERE,))) == (["Nothing to change."], ((KEY, NAMES),))


def test_same_reference__and_something_else_differs__is_replaced_for_that_alone() -> None:
    lines, uncompared = taken(builders.config(secret_env=(HERE,), args=("x",)))
    assert lines[:2] == [
        "-/+ Container/web is replaced",
        "      because Changed: args: - -> x (forces replacement)",
    ]
    assert uncompared == ((KEY, NAMES),)


def test_another_reference__differs_whatever_the_key() -> None:
    lines, uncompared = taken(builders.config(secret_env=(dataclasses.replace(HERE, key="other"),)))
    assert "      because Changed: env by secrets: PASSWORD changed (forces replacement)" in lines
    assert uncompared == ()


def test_container_that_is_not_there__has_nothing_to_compare_and_is_created() -> None:
    lines, uncompared = taken(builders.config("new", secret_env=(HERE,)), builders.config(secret_env=(HERE,)))
    assert lines[0] == "  + Container/new is created"
    assert uncompared == ((KEY, NAMES),)


def test_container_of_somebody_else__is_not_compared_with() -> None:
    theirs = builders.observed(OBSERVED, labels=builders.labels_for(OBSERVED, "other"))
    assert taken(builders.config(secret_env=(HERE,)), current=theirs)[1] == ()


def test_plan__says_what_is_not_compared__in_text_and_document() -> None:
    world = builders.world(builders.observed(OBSERVED))
    computed = planner.compute_plan(builders.desired(OBSERVED), world, builders.rules())
    shown = dataclasses.replace(computed, uncompared=((KEY, "the reason"),))
    assert render.text(shown).splitlines() == [
        "  ? Container/web may have to change: the reason",
        "",
        "Nothing to change, as far as it can be compared here.",
    ]
    assert render.document(shown)["uncompared"] == {"Container/web": "the reason"}


def test_several_variables__are_named_one_after_the_other_and_an_unknown_secret_is_taken_as_it_is() -> None:
    there = (THERE, dataclasses.replace(THERE, name="TOKEN", key="token"), dataclasses.replace(THERE, name="SAME"))
    here = (*(dataclasses.replace(variable, fingerprint="") for variable in there[:2]), there[2])
    world = builders.world(builders.observed(builders.config(secret_env=there)))
    desired = dataclasses.replace(builders.desired(builders.config(secret_env=here)), secrets=(VALUE,))
    comparable, uncompared = comparison.take_for_unchanged(desired, world, builders.OWNER)
    assert comparable.containers[0].secret_env == there
    assert comparable.secrets == (dataclasses.replace(VALUE, fingerprint=THERE.fingerprint),)
    assert uncompared == ((KEY, f"{NAMES}, TOKEN (key token of Secret/db)"),)


def test_container_that_is_being_replaced__is_compared_with_the_one_that_has_its_name() -> None:
    current = builders.observed(OBSERVED)
    new = builders.config(secret_env=(dataclasses.replace(THERE, fingerprint="hmac-sha256:new"),))
    successor = dataclasses.replace(builders.observed(new), id="new")
    foreign = dataclasses.replace(builders.observed(OBSERVED), id="foreign", labels=())
    desired = dataclasses.replace(builders.desired(builders.config(secret_env=(HERE,))), secrets=(VALUE,))
    for name in ("a-web-new", "web-12345678-new"):
        world = builders.world(current, dataclasses.replace(successor, name=name), foreign)
        comparable, _ = comparison.take_for_unchanged(desired, world, builders.OWNER)
        assert comparable.containers[0].secret_env == (THERE,)

"""What is kept of a plan, and what is said of changes since."""

import dataclasses
import json

import pytest

from agent.model import container, state
from agent.plan import planner, saved
from tests import builders

ORIGIN = saved.Origin("0.1.0", "/srv/manifests", builders.OWNER, "memory", 1.0)
CONFIG = builders.config(env=(("PASSWORD", "pa55word"),), command=("run", "--token=t0ken"))


def kept(desired: state.DesiredState, observed: state.ObservedState, salt: str = "salt") -> saved.SavedPlan:
    """Return what is kept of the plan."""
    return saved.of(ORIGIN, salt, desired, observed, planner.compute_plan(desired, observed, builders.rules()))


CREATION = kept(builders.desired(CONFIG), builders.world())


def test_text__has_no_value_of_an_environment_and_no_command() -> None:
    other = dataclasses.replace(CONFIG, env=(("PASSWORD", "0ther"),), command=("run", "--token=0ther"))
    change = kept(builders.desired(CONFIG), builders.world(builders.observed(other)))
    for text in map(saved.text, (CREATION, change)):
        assert [secret for secret in ("pa55word", "t0ken", "0ther") if secret in text] == []


def test_fingerprints__with_another_salt__are_others() -> None:
    other = kept(builders.desired(CONFIG), builders.world(), "pepper")
    assert other.desired.keys() == CREATION.desired.keys()
    assert not set(other.desired.values()) & set(CREATION.desired.values())


def test_differences__the_declaration_has_changed__names_the_objects() -> None:
    changed = builders.desired(dataclasses.replace(CONFIG, hostname="other"), builders.config("db"))
    current = kept(dataclasses.replace(changed, revision="r2"), builders.world())
    assert saved.differences(CREATION, current) == (
        "the revision of the source was r1, and is r2",
        "Container/db was not declared",
        "Container/web is declared otherwise than it was",
        "the plan had 2 steps, and has 4 others now",
    )


def test_differences__a_container_has_ended__says_what_it_is_now() -> None:
    running, desired = builders.observed(CONFIG), builders.desired(CONFIG)
    ended = dataclasses.replace(running, state=container.ContainerState.EXITED, exit_code=1, finished_at=2.0)
    current = kept(desired, builders.world(ended))
    first, *_ = saved.differences(kept(desired, builders.world(running)), current)
    assert first == "Container/web is there otherwise than it was (it was matching, and is failed)"


def test_differences__another_instance_or_runtime__are_told() -> None:
    origin = dataclasses.replace(ORIGIN, owner="other", runtime="docker", release="9.9")
    changes = saved.differences(CREATION, dataclasses.replace(CREATION, origin=origin))
    assert changes == (
        f"the instance was {builders.OWNER}, and is other",
        "the runtime was memory, and is docker",
        "the release of trimtab was 0.1.0, and is 9.9",
    )


def test_differences__what_changes_by_itself__does_not_count() -> None:
    running, desired = builders.observed(CONFIG, pid=1, addresses=(("shop", "10.0.0.2"),)), builders.desired(CONFIG)
    again = dataclasses.replace(running, pid=2, started_at=9.0, addresses=(("shop", "10.0.0.3"),))
    assert saved.differences(kept(desired, builders.world(running)), kept(desired, builders.world(again))) == ()


def test_differences__a_foreign_object__is_nobody_s_business() -> None:
    stranger = dataclasses.replace(builders.observed(builders.config("stranger")), labels=())
    desired = builders.desired(CONFIG)
    assert saved.differences(CREATION, kept(desired, builders.world(stranger))) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trimtab.dev/plan": 0}, "0 is no format"),
        ({"trimtab.dev/plan": True}, "a value is of a wrong kind"),
        ({"plan": {}}, "it has no revision"),
        ({"desired": {"Container/web": 5}}, "a value is of a wrong kind"),
        ({"createdAt": "soon"}, "a value is of a wrong kind"),
        ({"createdAt": float("inf")}, "it was made at no moment that there is"),
        ({"createdAt": float("nan")}, "it was made at no moment that there is"),
        ({"createdAt": 1e300}, "it was made at no moment that there is"),
        ({"source": "\ud800"}, "surrogates not allowed"),
        ({"salt": "\ud800"}, "surrogates not allowed"),
        ({"plan": {"revision": "r", "steps": [], "buckets": None}}, "a value is of a wrong kind"),
        ({"plan": {"revision": "r", "steps": []}}, "it has no buckets"),
    ],
)
def test_parse__damaged__says_how(changes: dict[str, object], message: str) -> None:
    fields = {**json.loads(saved.text(CREATION)), **changes}
    with pytest.raises(saved.InvalidPlan, match=message):
        saved.parse(json.dumps(fields).encode())


def test_parse__of_a_newer_release__is_no_damage() -> None:
    fields = {"trimtab.dev/plan": saved.FORMAT + 1, "something": "new"}
    with pytest.raises(saved.NewerPlan, match="it has format 2, and this release reads formats up to 1"):
        saved.parse(json.dumps(fields).encode())


def test_parse__deeply_nested__is_refused() -> None:
    with pytest.raises(saved.InvalidPlan):
        saved.parse(saved.MAGIC + b"[" * 200_000)

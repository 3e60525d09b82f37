"""What is kept of a plan, and what is said of changes since."""

import dataclasses
import json

import pytest

from agent.model import container, state
from agent.model.key import Kind, ObjectKey
from agent.plan import plan, planner, saved
from agent.reasons import Reason
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


FOREIGN = dataclasses.replace(builders.observed(CONFIG), labels=())


def test_text__of_a_plan__is_one_line_that_begins_as_all_do_and_is_read_as_the_same_plan() -> None:
    origin = dataclasses.replace(ORIGIN, source="/srv/m\u00fcller")
    plan_kept = dataclasses.replace(CREATION, origin=origin)
    text = saved.text(plan_kept)
    assert text.encode("ascii").startswith(saved.MAGIC)
    assert (text.count("\n"), text.endswith("}\n"), ": " in text) == (1, True, False)
    assert [*json.loads(text)] == [
        *("trimtab.dev/plan", "release", "source", "owner", "runtime", "createdAt", "salt"),
        *("steps", "desired", "observed", "plan"),
    ]
    assert saved.parse(text.encode()) == plan_kept


def test_document__of_a_plan__tells_what_is_done_without_a_message() -> None:
    computed = planner.compute_plan(builders.desired(CONFIG), builders.world(), builders.rules())
    waiting = plan.Blocked(ObjectKey(Kind.CONTAINER, "db"), Reason.BACK_OFF, "s3cr3t", 5.0)
    blocked = dataclasses.replace(computed, blocked=(waiting,))
    document = saved.of(ORIGIN, "salt", builders.desired(CONFIG), builders.world(), blocked).document
    step = {"object": "Container/web", "reason": "Missing", "fields": []}
    assert document == {
        "revision": "r1",
        "steps": [
            {"id": 0, "action": "CreateContainer", "after": [], **step},
            {"id": 1, "action": "StartContainer", "after": [0], **step},
        ],
        "blocked": [{"object": "Container/db", "reason": "BackOff"}],
        "buckets": {"Container/web": "missing", f"Image/{builders.IMAGE}": "matching"},
    }
    assert (CREATION.revision, CREATION.salt, len(CREATION.steps)) == ("r1", "salt", 2)


def test_fingerprints__of_any_salt__are_as_long() -> None:
    for salt in ("", "x" * 100):
        observed = builders.world(builders.observed(CONFIG))
        fingerprints = kept(builders.desired(CONFIG), observed, salt)
        assert fingerprints.observed.keys() == {"Container/web", f"Image/{builders.IMAGE}"}
        for fingerprint in (*fingerprints.observed.values(), *fingerprints.desired.values(), *fingerprints.steps):
            assert len(bytes.fromhex(fingerprint)) == 16


def test_differences__all_that_changes_by_itself_has_changed__does_not_count() -> None:
    desired = builders.desired(CONFIG, builders.volume_config())
    running, image = builders.observed(CONFIG, pid=1, finished_at=1.0), builders.observed_image()
    before = builders.world(running, image, builders.observed_volume(builders.volume_config()))
    after = builders.world(
        dataclasses.replace(running, finished_at=2.0),
        dataclasses.replace(image, size=image.size + 1, available=not image.available),
        *before.volumes,
    )
    assert kept(desired, before).observed == kept(desired, after).observed


def test_differences__something_has_come_or_gone__is_told_of_what_is_declared_and_of_what_is_there() -> None:
    web, db = builders.config("web"), builders.config("db")
    before = kept(builders.desired(web, db), builders.world(builders.observed(db)))
    after = kept(builders.desired(web), builders.world(builders.observed(web)))
    assert [change for change in saved.differences(before, after) if "plan" not in change] == [
        "Container/db is not declared any more",
        "Container/db is not there any more",
        "Container/web was not there",
    ]


def test_differences__somebody_elses_container_has_the_name__is_told_by_its_name() -> None:
    desired = builders.desired(CONFIG)
    before = kept(desired, builders.world(FOREIGN))
    assert [*before.observed] == ["Container/web", f"Image/{builders.IMAGE}"]
    changed = kept(desired, builders.world(dataclasses.replace(FOREIGN, id="another")))
    assert saved.differences(before, changed) == ("Container/web is there otherwise than it was",)


@pytest.mark.parametrize(
    "name", ["release", "source", "owner", "runtime", "createdAt", "plan", "salt", "steps", "desired", "observed"]
)
def test_parse__a_field_is_missing_or_of_another_kind__says_so(name: str) -> None:
    fields = json.loads(saved.text(CREATION))
    with pytest.raises(saved.InvalidPlan, match=r"^a value is of a wrong kind$"):
        saved.parse(json.dumps({**fields, name: True}).encode())
    del fields[name]
    with pytest.raises(saved.InvalidPlan, match=f"^it has no {name}$"):
        saved.parse(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": [5]}, "a value is of a wrong kind"),
        ({"observed": {"Container/web": 5}}, "a value is of a wrong kind"),
        ({"plan": {"revision": 1, "steps": [], "buckets": {}}}, "a value is of a wrong kind"),
        ({"plan": {"revision": "r", "steps": {}, "buckets": {}}}, "a value is of a wrong kind"),
        ({"plan": {"revision": "r", "buckets": {}}}, "it has no steps"),
        ({"createdAt": -1.0}, "it was made at no moment that there is"),
        ({"createdAt": 2.0**40}, "it was made at no moment that there is"),
        ({"createdAt": 10**400}, "int too large to convert to float"),
    ],
)
def test_parse__a_value_is_no_possible_one__says_how(changes: dict[str, object], message: str) -> None:
    fields = {**json.loads(saved.text(CREATION)), **changes}
    with pytest.raises(saved.InvalidPlan, match=f"^{message}$"):
        saved.parse(json.dumps(fields).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"text"', b"\xff"])
def test_parse__no_plan_at_all__is_refused(data: bytes) -> None:
    with pytest.raises(saved.InvalidPlan):
        saved.parse(data)


@pytest.mark.parametrize("moment", [0, 1, 2.0**40 - 1])
def test_parse__made_at_a_moment_that_there_is__is_read(moment: float) -> None:
    fields = {**json.loads(saved.text(CREATION)), "createdAt": moment}
    assert saved.parse(json.dumps(fields).encode()).origin.created_at == moment


def test_parse__of_a_newer_release__is_told_from_what_is_no_plan() -> None:
    with pytest.raises(saved.InvalidPlan, match=r"^it has no trimtab\.dev/plan$"):
        saved.parse(b"{}")
    assert not issubclass(saved.NewerPlan, saved.InvalidPlan)

"""Images that follow their registry: when they are fetched again, and what waits."""

import dataclasses

import pytest

from agent.model import image, ledger, policy, state
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan, planner
from agent.reasons import Reason
from tests import builders

OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
KEY = ObjectKey(Kind.IMAGE, builders.IMAGE)
WEB = builders.config("web")
ANSWER = ledger.LatestImage(builders.IMAGE, 990.0, builders.IMAGE, NEW)


def planned(
    follow: image.UpdatePolicy | None,
    *images: image.ObservedImage,
    answer: ledger.LatestImage | None = None,
    holds: tuple[policy.Hold, ...] = (),
) -> plan.Plan:
    desired = dataclasses.replace(builders.desired(WEB), follows=(follow,) if follow else ())
    memory = (ledger.LedgerEntry(KEY, "", newest=answer),)
    observed = builders.world(builders.observed(WEB), ledger=memory).with_objects({Kind.IMAGE: images})
    return planner.compute_plan(desired, observed, policy.PlanPolicy(owner=builders.OWNER, prune=True, holds=holds))


def image_with(*digests: str, verified: bool = True) -> image.ObservedImage:
    return dataclasses.replace(builders.observed_image(), digests=digests, verified=verified)


def ensured(result: plan.Plan) -> list[tuple[str, str]]:
    return [
        (step.action.cause.reason.value, step.action.pinned)
        for step in result.steps
        if isinstance(step.action, actions.EnsureImage)
    ]


def test_image__registry_has_another_one__is_fetched_by_its_digest_and_containers_wait_for_what_comes() -> None:
    result = planned(builders.follow(), image_with(OLD), answer=ANSWER)
    assert ensured(result) == [("Updated", f"{builders.IMAGE}@{NEW}")]
    assert len(result.steps) == 1, "whether another image comes is not known yet"
    assert result.steps[0].action.cause.message == f"{builders.IMAGE}: {OLD} -> {NEW}"
    assert dict(result.buckets)[KEY] is plan.Bucket.DRIFTED


@pytest.mark.parametrize("digests", [(NEW,), (OLD, NEW)])
def test_image__is_what_the_registry_has__is_left_alone(digests: tuple[str, ...]) -> None:
    assert planned(builders.follow(), image_with(*digests), answer=ANSWER).empty


@pytest.mark.parametrize(
    ("follow", "answer"),
    [
        (None, ANSWER),
        (builders.follow(), None),
        (builders.follow("^1"), ANSWER),
        (builders.follow(), dataclasses.replace(ANSWER, digest="", problem="no route")),
        (builders.follow(policy=image.PullPolicy.NEVER), ANSWER),
    ],
    ids=["not followed", "no answer yet", "answer to another question", "never answered", "never asked"],
)
def test_image__nothing_newer_is_known__is_left_alone(
    follow: image.UpdatePolicy | None, answer: ledger.LatestImage
) -> None:
    assert planned(follow, image_with(OLD), answer=answer).empty


def test_image__registry_fails_after_it_had_answered__is_the_newest_of_before() -> None:
    answer = dataclasses.replace(ANSWER, problem="no route")
    assert ensured(planned(builders.follow(), image_with(OLD), answer=answer)) == [
        ("Updated", f"{builders.IMAGE}@{NEW}")
    ]


def test_image__not_there_and_a_version_is_known__is_fetched_as_that() -> None:
    version = dataclasses.replace(ANSWER, question=f"{builders.IMAGE} ^1", reference="docker.io/library/app:1.2.0")
    result = planned(builders.follow("^1"), answer=version)
    assert ensured(result) == [("Missing", f"docker.io/library/app:1.2.0@{NEW}")]


def test_image__not_there_and_no_version_is_known__waits_and_says_for_what() -> None:
    result = planned(builders.follow("^1"))
    blocked = {blocked.key: blocked for blocked in result.blocked}
    assert (ensured(result), blocked[KEY].reason) == ([], "ImageUnresolved")
    assert "its registry has not been asked yet" in blocked[KEY].message
    failed = ledger.LatestImage(f"{builders.IMAGE} ^1", 990.0, problem="no route to r.example")
    blocked_by_key = {blocked.key: blocked for blocked in planned(builders.follow("^1"), answer=failed).blocked}
    assert "no route to r.example" in blocked_by_key[KEY].message


def test_image__not_there_and_its_policy_is_always__is_pulled_without_waiting_for_an_answer() -> None:
    assert ensured(planned(builders.follow())) == [("Missing", "")]


def test_image__never_pulled_and_not_there__is_blocked_with_its_containers() -> None:
    desired = dataclasses.replace(builders.desired(WEB), follows=(builders.follow(policy=image.PullPolicy.NEVER),))
    observed = state.ObservedState(builders.NOW)
    result = planner.compute_plan(desired, observed, policy.PlanPolicy(owner=builders.OWNER, prune=True))
    assert (result.steps, {blocked.key: blocked.reason for blocked in result.blocked}[KEY]) == ((), "ImageNeverPulled")
    assert {blocked.key.kind for blocked in result.blocked} == {Kind.IMAGE, Kind.CONTAINER}


def test_image__not_known_to_be_signed__is_fetched_again_and_containers_go_on() -> None:
    result = planned(None, image_with(verified=False))
    assert ensured(result) == [("Unverified", "")]
    assert len(result.steps) == 1


def test_image__not_known_to_be_signed_and_refused__holds_back_new_containers() -> None:
    desired = builders.desired(WEB, builders.config("other"))
    hold = policy.Hold(KEY, "ImageUnsigned", "it is not signed")
    observed = builders.world(builders.observed(WEB)).with_objects({Kind.IMAGE: (image_with(verified=False),)})
    rules = policy.PlanPolicy(owner=builders.OWNER, prune=True, holds=(hold,))
    result = planner.compute_plan(desired, observed, rules)
    assert result.steps == ()
    assert {str(blocked.key) for blocked in result.blocked} == {str(KEY), "Container/other"}


def test_image__update_failed__is_held_and_what_runs_goes_on() -> None:
    hold = policy.Hold(KEY, "ImagePullFailed", "no route")
    result = planned(builders.follow(), image_with(OLD), answer=ANSWER, holds=(hold,))
    assert (result.steps, [blocked.key for blocked in result.blocked]) == ((), [KEY])


def test_image__follows_in_another_way__is_the_same_image() -> None:
    every, seldom = builders.follow(interval=1.0), builders.follow(interval=900.0)
    for follow_config in (None, every, seldom, builders.follow(policy=image.PullPolicy.NEVER)):
        assert planned(follow_config, image_with(NEW), answer=ANSWER).empty


def test_image__registry_has_another_one_and_nobody_knows_what_is_there__says_so() -> None:
    (step,) = planned(builders.follow(), image_with(), answer=ANSWER).steps
    message = f"{builders.IMAGE}: an unknown one -> {NEW}"
    assert step.action.cause == actions.Cause(Reason.UPDATED, message, ("source",))


def test_image__not_known_to_be_signed__differs_in_its_signature() -> None:
    (step,) = planned(None, image_with(verified=False)).steps
    message = "it must be signed, which is not verified"
    assert step.action.cause == actions.Cause(Reason.UNVERIFIED, message, ("signature",))


@pytest.mark.parametrize(
    ("follow", "reason", "message"),
    [
        (
            builders.follow("^1"),
            Reason.IMAGE_UNRESOLVED,
            "the newest version in '^1' is not known: its registry has not been asked yet",
        ),
        (
            builders.follow(policy=image.PullPolicy.NEVER),
            Reason.IMAGE_NEVER_PULLED,
            f"{builders.IMAGE} is not there, and its policy is Never: load it",
        ),
    ],
)
def test_image__not_there_and_nothing_is_remembered_of_it__says_what_it_waits_for(
    follow: image.UpdatePolicy, reason: Reason, message: str
) -> None:
    desired = dataclasses.replace(builders.desired(WEB), follows=(follow,))
    result = planner.compute_plan(desired, builders.world(image=False), builders.rules())
    blocked = {item.key: (item.reason, item.message) for item in result.blocked}
    assert blocked[KEY] == (reason, message)
    assert blocked[ObjectKey(Kind.CONTAINER, "web")][1] == f"{KEY} is not there: {reason}"


def test_image__nothing_is_remembered_of_it__is_left_alone() -> None:
    desired = dataclasses.replace(builders.desired(WEB), follows=(builders.follow(),))
    observed = builders.world(builders.observed(WEB), image_with(OLD))
    assert planner.compute_plan(desired, observed, builders.rules()).empty

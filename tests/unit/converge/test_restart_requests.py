"""When a request to restart containers is met: by another run, seen whole; and when nobody waits for it any longer."""

import asyncio
import dataclasses

import pytest

from agent.agent_api import restart
from agent.converge import restarts
from agent.model import container
from agent.model.key import Kind, ObjectKey
from agent.plan import plan
from agent.reasons import Reason
from tests import builders

WEB, DB = ObjectKey(Kind.CONTAINER, "web"), ObjectKey(Kind.CONTAINER, "db")
BOTH = frozenset({WEB, DB})


def run(name: str, started_at: float | None, identity: str = "") -> container.ObservedContainer:
    """Return a container in some run of it."""
    observed = builders.observed(builders.config(name))
    return dataclasses.replace(observed, id=identity or observed.id, started_at=started_at)


def blocked(key: ObjectKey, reason: Reason) -> plan.Plan:
    """Return a plan in which one object waits."""
    return plan.Plan("r1", (), (plan.Blocked(key, reason, "why"),), (), (), None)


NOTHING = plan.Plan("r1", (), (), (), (), None)


@pytest.mark.parametrize(
    ("looks", "is_met"),
    [
        ((run("web", 1.0), run("web", 1.0)), False),
        ((run("web", 1.0), run("web", 2.0)), True),
        ((run("web", 1.0), run("web", 1.0, "another")), True),
        ((run("web", 1.0), None), False),
        ((run("web", 1.0), run("web", None, "another")), False),
        ((run("web", 1.0), None, run("web", 2.0, "another")), True),
        ((None, run("web", 1.0)), True),
        ((None, None), False),
        ((run("web", 1.0), dataclasses.replace(run("web", 2.0), labels=())), False),
        ((run("web", 1.0), dataclasses.replace(run("web", 2.0), labels=run("db", 2.0).labels)), False),
    ],
)
def test_take__looked_at_again_and_again__is_met_by_another_run_of_ours_that_has_begun(
    looks: tuple[container.ObservedContainer | None, ...], is_met: bool
) -> None:
    waiting = restarts.Requests()
    with waiting.opened(frozenset({WEB})) as request:
        for observed in looks:
            remaining = waiting.take(builders.world(*([observed] if observed else [])), ())
    assert remaining == (frozenset() if is_met else {WEB})
    assert request.progress(WEB) == ((restarts.Progress.RESTARTED if is_met else restarts.Progress.UNDER_WAY), "")


def test_take__something_is_done_to_one__the_other_is_seen_as_it_is() -> None:
    waiting = restarts.Requests()
    with waiting.opened(BOTH) as request:
        assert waiting.take(builders.world(run("web", 1.0), run("db", 1.0)), ()) == BOTH
        assert waiting.take(builders.world(run("web", 2.0), run("db", 2.0)), {WEB}) == {WEB}
        assert [request.progress(key)[0].value for key in (WEB, DB)] == ["under way", "restarted"]
        assert waiting.take(builders.world(run("web", 2.0), run("db", 2.0)), ()) == frozenset()


def test_fresh__no_pass_has_gone_by_it__is_until_one_has_or_nobody_waits() -> None:
    waiting = restarts.Requests()
    with waiting.opened(frozenset({WEB})):
        assert waiting.fresh() == {WEB}
        waiting.take(builders.world(), ())
        assert waiting.fresh() == frozenset()
        with waiting.opened(frozenset({DB})):
            assert waiting.fresh() == {DB}
        assert waiting.fresh() == frozenset()


async def test_over__of_two__is_once_neither_goes_on_or_waits() -> None:
    waiting = restarts.Requests()
    with waiting.opened(BOTH) as request:
        waiting.take(builders.world(run("web", 1.0), run("db", 1.0)), ())
        waiting.note(blocked(DB, Reason.FOREIGN), ())
        assert [request.progress(key)[0].value for key in (WEB, DB)] == ["under way", "failed"]
        waiting.take(builders.world(run("web", 2.0), run("db", 1.0)), ())
        waiting.note(blocked(DB, Reason.BACK_OFF), ())
        assert (request.progress(DB), request.is_over) == ((restarts.Progress.WAITING, "BackOff: why"), False)
        waiting.note(blocked(DB, Reason.IN_PROGRESS), ())
        assert (request.progress(DB), request.is_over) == ((restarts.Progress.UNDER_WAY, ""), False)
        waiting.note(blocked(DB, Reason.BACK_OFF), {DB})
        assert (request.progress(DB), request.is_over) == ((restarts.Progress.FAILED, "BackOff: why"), True)
        async with asyncio.timeout(10):
            await request.over()


def test_note__nobody_waits_any_longer__is_not_noted() -> None:
    waiting = restarts.Requests()
    with waiting.opened(frozenset({WEB})) as request:
        waiting.note(NOTHING, ())
    waiting.note(blocked(WEB, Reason.FOREIGN), ())
    assert (request.progress(WEB), request.is_over) == ((restarts.Progress.UNDER_WAY, ""), False)


def test_progress__of_every_kind__has_the_words_of_the_answer() -> None:
    assert [progress.value for progress in restarts.Progress] == [result.value for result in restart.Result]

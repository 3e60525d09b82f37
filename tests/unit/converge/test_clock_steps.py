"""A clock that is set back or forward while the agent runs: restarts, retries and their order go on as before."""

import asyncio
import dataclasses
import pathlib

import pytest

from agent import errors
from agent.converge import clock_steps, history, journal, reconcile, signals
from agent.drivers.memory import driver, world
from agent.kit import clock
from agent.model import health, ledger, policy
from agent.model.key import Kind, ObjectKey
from agent.reasons import Reason
from tests import builders
from tests.unit.converge import conftest

WEB = ObjectKey(Kind.CONTAINER, "web")
DAY = 86400.0
pytestmark = pytest.mark.looptime


@dataclasses.dataclass(slots=True)
class SetClock:
    """The time of the event loop, by a clock that can be set, on a host that can be suspended."""

    set_by: float = 0.0
    suspended: float = 0.0

    def now(self) -> float:
        """Return what the clock says."""
        return conftest.EPOCH + self.monotonic() + self.set_by

    def monotonic(self) -> float:
        """Return how long the host is up."""
        return asyncio.get_running_loop().time() + self.suspended


@dataclasses.dataclass(slots=True)
class Hand:
    """A stage, and the clock that it goes by."""

    stage: conftest.Stage
    clock: SetClock


@pytest.fixture
def hand(stage: conftest.Stage) -> Hand:
    time = SetClock()
    around = world.World(time)
    parts = reconcile.Parts(driver.runtime_in(around), stage.parts.book, stage.emitted.append, time, builders.OWNER)
    return Hand(conftest.Stage(around, parts, stage.emitted, stage.path), time)


def _converged(stage: conftest.Stage) -> bool:
    passes = stage.of(signals.PassFinished)
    return bool(passes) and passes[-1].converged


@pytest.mark.parametrize("step", [-DAY, -60.0, 60.0, DAY, 365 * DAY])
async def test_restart__clock_is_set_while_it_waits__comes_in_its_time(
    hand: Hand, until: conftest.Until, step: float
) -> None:
    stage, loop = hand.stage, asyncio.get_running_loop()
    async with stage.going(lambda: conftest.declare(builders.config("web"))):
        await until(lambda: _converged(stage))
        for _ in range(5):  # the next one waits 16 seconds
            stage.world.end("web", 1)
            await until(lambda: stage.states() == {"web": "running"}, patience=40)
        begun = loop.time()
        stage.world.end("web", 1)
        await asyncio.sleep(2)
        hand.clock.set_by += step
        await until(lambda: stage.states() == {"web": "running"}, patience=60)
        assert loop.time() - begun == pytest.approx(16, abs=1)
        begun = loop.time()
        stage.world.end("web", 1)
        await asyncio.sleep(2)
        hand.clock.set_by -= step
        await until(lambda: stage.states() == {"web": "running"}, patience=90)
        assert loop.time() - begun == pytest.approx(32, abs=1)
    assert stage.parts.book.entry(WEB).restarts == (ledger.RestartCount(ledger.RestartReason.EXIT, 7),)


@pytest.mark.parametrize("step", [-DAY, DAY])
async def test_retry__clock_is_set_while_it_waits__comes_in_its_time(
    hand: Hand, until: conftest.Until, step: float
) -> None:
    stage, loop = hand.stage, asyncio.get_running_loop()
    stage.world.fail("containers.start", errors.Unavailable("not now"), times=20)
    async with stage.going(lambda: conftest.declare(builders.config("web"))):
        await until(lambda: len(stage.of(signals.ObjectDisposed)) == 5, patience=60)  # the next one waits 16 seconds
        begun = loop.time()
        await asyncio.sleep(1)
        hand.clock.set_by += step
        await until(lambda: len(stage.of(signals.ObjectDisposed)) == 6, patience=60)
        assert loop.time() - begun == pytest.approx(16, abs=1)


async def test_restart__the_agent_begins_after_the_clock_was_set_back__waits_no_longer_than_its_back_off(
    hand: Hand, until: conftest.Until
) -> None:
    stage, loop = hand.stage, asyncio.get_running_loop()
    desired = conftest.declare(builders.config("web"))
    async with stage.going(lambda: desired):
        await until(lambda: _converged(stage))
        for _ in range(4):
            stage.world.end("web", 1)
            await until(lambda: stage.states() == {"web": "running"}, patience=40)
        stage.world.end("web", 1)
    hand.clock.set_by -= DAY
    begun = loop.time()
    async with stage.going(lambda: desired):
        await until(lambda: stage.states() == {"web": "running"}, patience=40)
    assert loop.time() - begun <= 9


async def test_restart__the_host_was_suspended__is_not_late(hand: Hand, until: conftest.Until) -> None:
    stage, loop = hand.stage, asyncio.get_running_loop()
    async with stage.going(lambda: conftest.declare(builders.config("web"))):
        await until(lambda: _converged(stage))
        for _ in range(5):
            stage.world.end("web", 1)
            await until(lambda: stage.states() == {"web": "running"}, patience=40)
        begun = loop.time()
        stage.world.end("web", 1)
        await asyncio.sleep(1)
        hand.clock.suspended += 3600
        await until(lambda: stage.states() == {"web": "running"}, patience=60)
        assert loop.time() - begun <= 1 + clock_steps.INTERVAL + 1


async def test_steps__slewing_and_quiet__hint_nothing() -> None:
    time = SetClock()
    hints = 0

    async def count() -> None:
        nonlocal hints
        async for _ in clock_steps.steps(time):
            hints += 1

    task = asyncio.get_running_loop().create_task(count())
    for _ in range(20):
        await asyncio.sleep(clock_steps.INTERVAL)
        time.set_by += 0.1
    assert hints == 0
    time.set_by -= 5
    await asyncio.sleep(2 * clock_steps.INTERVAL)
    assert hints == 1
    task.cancel()


def test_history__read_while_the_clock_was_set_back__the_last_read_is_the_first_and_is_kept(
    tmp_path: pathlib.Path,
) -> None:
    with journal.Journal(tmp_path / "j", lambda _: None) as book:
        for number in range(150):
            at = 1e9 - number
            book.history.record_revision(history.Revision(f"r{number}", "here", at, (), None))
        book.history.record_applied("r140", 5.0)
        book.history.record_revision(history.Revision("r140", "here", 3.0, (), None), has_stood=True)
        revisions = book.history.revisions()
    assert len(revisions) == history.KEPT_REVISIONS
    assert [revision.revision for revision in revisions[:2]] == ["r140", "r149"]
    assert revisions[0].applied_at == 5.0


async def test_moments__agree__are_given_back_as_they_are() -> None:
    time = SetClock()
    moments = clock.Moments(time)
    moment = time.now() - 10.123456
    for _ in range(5):
        moments.look(time.now())
        assert moments.corrected("a", moment) == moment
        await asyncio.sleep(1)
        time.set_by += 0.2
    time.set_by -= DAY
    moments.look(time.now())
    moved = moments.corrected("a", moment)
    assert time.now() - moved == pytest.approx(15, abs=1.5)
    await asyncio.sleep(1)
    moments.look(time.now())
    assert moments.corrected("a", moment) == moved, "it is moved once"


@pytest.mark.parametrize(("step", "count"), [(1.0, 0), (1.5, 1), (-1.5, 1)])
async def test_steps__the_clock_is_set_by_more_than_a_second__hint_within_five(step: float, count: int) -> None:
    time = SetClock()
    hints = 0

    async def count_hints() -> None:
        nonlocal hints
        async for _ in clock_steps.steps(time):
            hints += 1

    async with asyncio.TaskGroup() as group:
        task = group.create_task(count_hints())
        await asyncio.sleep(1)
        time.set_by += step
        await asyncio.sleep(4.5)
        assert hints == count
        await asyncio.sleep(60)
        assert hints == count
        task.cancel()


async def test_corrections__the_clock_was_set__all_times_of_runs_and_probes_are_moved_and_what_agrees_stays() -> None:
    time = SetClock()
    corrections = clock_steps.Corrections(time)
    begun = time.now()
    old = builders.observed(builders.config("old"), started_at=begun - 100)
    ended = dataclasses.replace(old, id="id-ended", name="ended", started_at=begun - 60, finished_at=begun - 50)
    created = dataclasses.replace(old, id="id-created", name="created", started_at=None, finished_at=None)
    dead = health.ObservedHealth("id-old", True, False, False, "liveness: no", begun - 20)
    alive = health.ObservedHealth("id-z", True, True, True, "", None)
    first = builders.world(old, ended, created, health=(dead, alive), now=begun)
    assert corrections.observed(first) is first
    time.set_by += DAY
    late = health.ObservedHealth("id-late", True, False, False, "liveness: no", time.now() - 1)
    second = builders.world(old, ended, created, health=(late, dead, alive), now=time.now())
    moved = corrections.observed(second)
    assert {item.name: (item.started_at, item.finished_at) for item in moved.containers} == {
        "created": (None, None),
        "ended": (begun + DAY - 60, begun + DAY - 50),
        "old": (begun + DAY - 100, None),
    }
    assert [item.failed_at for item in moved.health] == [late.failed_at, begun + DAY - 20, None]
    assert moved.health[0] is late
    assert next(item for item in moved.containers if item.name == "created") is created
    only_dead = builders.world(health=(dead,), now=time.now())
    assert corrections.observed(only_dead).health == (dataclasses.replace(dead, failed_at=begun + DAY - 20),)


async def test_corrections__a_run_alone_or_a_probe_alone_is_moved__is_moved() -> None:
    time = SetClock()
    corrections = clock_steps.Corrections(time)
    begun = time.now()
    old = builders.observed(builders.config("old"), started_at=begun - 100)
    corrections.observed(builders.world(old, now=begun))
    time.set_by -= DAY
    (moved,) = corrections.observed(builders.world(old, now=time.now())).containers
    assert moved.started_at == begun - DAY - 100


async def test_corrections__holds__end_as_late_as_a_retry_at_most_and_some_by_no_time() -> None:
    time = SetClock()
    corrections = clock_steps.Corrections(time)
    corrections.observed(builders.world(now=time.now()))
    endless = policy.Hold(WEB, Reason.UNAVAILABLE, "no")
    until = (None, time.now() + 8, time.now() + 300, time.now() + DAY)
    holds = tuple(dataclasses.replace(endless, until=moment) for moment in until)
    assert [hold.until for hold in corrections.holds(holds)] == [*until[:3], time.now() + 300]

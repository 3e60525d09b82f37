"""Walking plans: order, bounds, failures, and giving up what is no longer wanted."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from agent.converge import execute, signals
from agent.kit import tasks
from agent.model import image
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan
from agent.reasons import Reason
from tests import builders
from tests.unit.converge import conftest

pytestmark = pytest.mark.looptime
CAUSE = actions.Cause(Reason.MISSING, "not there yet")


def key(name: str) -> ObjectKey:
    return ObjectKey(Kind.CONTAINER, name)


def start(name: str) -> actions.Action:
    return actions.StartContainer(key(name), CAUSE, name, None, 0)


def stop(name: str) -> actions.Action:
    return actions.StopContainer(key(name), CAUSE, name, builders.config().stop)


def fetch(name: str) -> actions.Action:
    return actions.EnsureImage(key(name), CAUSE, builders.image_config(name))


def planned(*steps: tuple[actions.Action, tuple[int, ...]]) -> plan.Plan:
    planned_steps = tuple(plan.Step(number, action, after) for number, (action, after) in enumerate(steps))
    return plan.Plan("r1", planned_steps, (), (), (), None)


@dataclasses.dataclass
class Bench:
    """An executor whose actions take as long, and fail, as a test says."""

    crew: tasks.Crew
    took: dict[str, float] = dataclasses.field(default_factory=dict)
    failing: dict[str, Exception] = dataclasses.field(default_factory=dict)
    log: list[str] = dataclasses.field(default_factory=list)
    started: list[str] = dataclasses.field(default_factory=list)
    ended: list[signals.ActionFinished] = dataclasses.field(default_factory=list)
    released: list[set[str]] = dataclasses.field(default_factory=list)
    at_work: int = 0
    most: int = 0
    executor: execute.Executor = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Build it."""
        hooks = execute.Hooks(self.perform, self.begin, self.finished, self.release)
        self.executor = execute.Executor(hooks, self.crew, conftest.LoopClock(), 2)

    def begin(self, action: actions.Action) -> None:
        """Write it down."""
        self.started.append(action.key.name)

    async def perform(self, action: actions.Action) -> None:
        """Work for a while."""
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        try:
            await asyncio.sleep(self.took.get(action.key.name, 1.0))
        finally:
            self.at_work -= 1
        if action.key.name in self.failing:
            raise self.failing[action.key.name]

    def finished(self, number: int, finished: signals.ActionFinished) -> None:
        """Write it down."""
        self.ended.append(finished)
        self.log.append(f"{number} {finished.action.key.name} {finished.result.value} {finished.duration:g}")

    def release(self, keys: frozenset[ObjectKey]) -> None:
        """Write it down."""
        self.released.append({key.name for key in keys})


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    def failed(name: str, error: BaseException) -> None:
        pytest.fail(f"{name}: {error}")

    async with tasks.Crew(failed) as crew:
        yield Bench(crew)


async def test_dispatch__steps_stand_behind_each_other__go_in_order(bench: Bench, until: conftest.Until) -> None:
    bench.executor.dispatch(7, planned((start("a"), ()), (start("b"), (0,)), (start("c"), (0, 1))))
    assert bench.executor.busy == {key("a"), key("b"), key("c")}
    await until(lambda: not bench.executor.busy)
    assert bench.log == ["7 a succeeded 1", "7 b succeeded 1", "7 c succeeded 1"]
    assert bench.released == [{"a"}, {"b"}, {"c"}]


async def test_dispatch__many_at_once__are_bounded(bench: Bench, until: conftest.Until) -> None:
    bench.executor.dispatch(1, planned(*((start(f"c{number}"), ()) for number in range(10))))
    await until(lambda: not bench.executor.busy)
    assert bench.most == 2


async def test_dispatch__fetches_and_stops_hang__others_go_on(bench: Bench, until: conftest.Until) -> None:
    bench.took |= {f"image{number}": 1000.0 for number in range(5)} | {f"old{number}": 1000.0 for number in range(5)}
    steps = [(fetch(f"image{number}"), ()) for number in range(5)] + [(stop(f"old{number}"), ()) for number in range(5)]
    bench.executor.dispatch(1, planned(*steps, (start("web"), ())))
    await until(lambda: bench.log == ["1 web succeeded 1"], patience=2)
    assert len(bench.executor.busy) == 10


async def test_dispatch__many_stops_use_up_their_grace__they_wait_side_by_side(
    bench: Bench, until: conftest.Until
) -> None:
    bench.took |= {f"old{number}": 10.0 for number in range(1000)}
    bench.executor.dispatch(1, planned(*((stop(f"old{number}"), ()) for number in range(1000))))
    await until(lambda: not bench.executor.busy, patience=11)
    assert len(bench.log) == 1000


async def test_dispatch__two_steps_of_one_object__never_overlap(bench: Bench, until: conftest.Until) -> None:
    bench.executor.dispatch(1, planned((start("a"), ()), (stop("a"), ())))
    await until(lambda: not bench.executor.busy)
    assert bench.most == 1
    assert bench.released == [{"a"}]


async def test_dispatch__a_step_fails__only_what_is_behind_it_is_left_out(bench: Bench, until: conftest.Until) -> None:
    bench.failing["a"] = OSError("oh")
    bench.executor.dispatch(
        1, planned((start("a"), ()), (start("b"), (0,)), (start("c"), (1,)), (start("d"), ()), (start("e"), (3,)))
    )
    await until(lambda: not bench.executor.busy)
    assert sorted(bench.log) == [
        "1 a failed 1",
        "1 b skipped 0",
        "1 c skipped 0",
        "1 d succeeded 1",
        "1 e succeeded 1",
    ]


async def test_dispatch__long_chain_fails__is_given_up_whole(bench: Bench, until: conftest.Until) -> None:
    bench.failing["c0"] = OSError("oh")
    chain = [(start(f"c{number}"), (number - 1,) if number else ()) for number in range(5000)]
    bench.executor.dispatch(1, planned(*chain))
    await until(lambda: not bench.executor.busy)
    assert len(bench.log) == 5000


async def test_dispatch__beside_another_plan__both_go_on(bench: Bench, until: conftest.Until) -> None:
    bench.took["a"] = 10.0
    bench.executor.dispatch(1, planned((start("a"), ()), (start("b"), (0,))))
    bench.executor.dispatch(2, planned((start("c"), ())))
    await until(lambda: not bench.executor.busy, patience=20)
    assert bench.log == ["2 c succeeded 1", "1 a succeeded 10", "1 b succeeded 1"]


async def test_supersede__not_begun__is_given_up_and_what_waits_for_it(bench: Bench, until: conftest.Until) -> None:
    bench.executor.dispatch(1, planned((start("a"), ()), (start("b"), (0,)), (start("c"), (1,)), (start("d"), (0,))))
    await asyncio.sleep(0.5)
    bench.executor.supersede(frozenset({key("b")}))
    assert bench.executor.busy == {key("a"), key("d")}
    await until(lambda: not bench.executor.busy)
    assert bench.log == ["1 b superseded 0", "1 c superseded 0", "1 a succeeded 1", "1 d succeeded 1"]


async def test_supersede__begun__is_left_to_end_unless_it_is_a_fetch(bench: Bench, until: conftest.Until) -> None:
    bench.executor.dispatch(1, planned((start("a"), ()), (fetch("b"), ()), (start("c"), (1,))))
    await asyncio.sleep(0.5)
    bench.executor.supersede(frozenset({key("a"), key("b")}))
    await until(lambda: not bench.executor.busy)
    assert bench.log == ["1 b superseded 0.5", "1 c skipped 0", "1 a succeeded 1"]


async def test_current__while_working__tells_what_is_done_to_each(bench: Bench) -> None:
    bench.executor.dispatch(1, planned((fetch("a"), ()), (start("a"), (0,)), (start("b"), (0,))))
    assert {key.name: type(action).__name__ for key, action in bench.executor.current.items()} == {
        "a": "EnsureImage",
        "b": "StartContainer",
    }
    await asyncio.sleep(1.5)
    assert {type(action).__name__ for action in bench.executor.current.values()} == {"StartContainer"}


async def test_withhold__what_has_begun_ends__what_has_not_is_given_up(bench: Bench, until: conftest.Until) -> None:
    steps = ((stop("a"), ()), (start("a"), (0,)), (start("b"), ()), (start("c"), ()), (start("d"), ()))
    bench.executor.dispatch(1, planned(*steps))
    await asyncio.sleep(0.5)
    assert bench.at_work == 3  # a stop, and two starts: the third one waits for its place
    bench.executor.withhold(frozenset({key("a"), key("b"), key("d")}))
    await until(lambda: not bench.executor.busy)
    assert sorted(bench.log) == [
        *("1 a succeeded 1", "1 a succeeded 1", "1 b succeeded 1", "1 c succeeded 1", "1 d superseded 0"),
    ]


async def test_withhold__is_over__actions_are_performed_again(bench: Bench, until: conftest.Until) -> None:
    bench.executor.withhold(frozenset({key("a")}))
    bench.executor.withhold(frozenset())
    bench.executor.dispatch(1, planned((start("a"), ())))
    await until(lambda: not bench.executor.busy)
    assert bench.log == ["1 a succeeded 1"]


async def test_finished__of_each__tells_when_and_why(bench: Bench, until: conftest.Until) -> None:
    error = OSError("oh")
    bench.failing["a"] = error
    bench.executor.dispatch(1, planned((start("a"), ()), (start("b"), (0,)), (start("c"), ())))
    await asyncio.sleep(0)
    begun = conftest.LoopClock().now()
    await until(lambda: not bench.executor.busy)
    assert bench.started == ["a", "c"]
    told = {ended.action: (ended.error, round(ended.at - begun, 3)) for ended in bench.ended}
    assert told == {start("a"): (error, 1.0), start("b"): (None, 1.0), start("c"): (None, 1.0)}


async def test_executor__a_plan_has_ended__is_not_kept(bench: Bench, until: conftest.Until) -> None:
    bench.executor.dispatch(1, planned((start("a"), ()), (start("b"), (0,))))
    await asyncio.sleep(0.5)
    assert len(bench.executor._executions) == 1
    await until(lambda: not bench.executor.busy)
    assert bench.executor._executions == []


async def test_supersede__build_whose_files_never_rest__is_cut_short_some_times_and_then_ends(
    bench: Bench, until: conftest.Until
) -> None:
    source = image.BuildSource("/app", "/app/Dockerfile", "1")
    config = image.ImageConfig("b", "localhost/b:latest", source)
    build = actions.EnsureImage(ObjectKey(Kind.IMAGE, "b"), actions.Cause(Reason.CHANGED, ""), config)
    for number in range(1, 5):
        bench.executor.dispatch(number, planned((build, ())))
        await asyncio.sleep(0.5)
        bench.executor.supersede(frozenset({build.key}))
        await until(lambda: build.key not in bench.executor.busy)
    assert [line.split()[2] for line in bench.log] == ["superseded"] * 3 + ["succeeded"]


async def test_supersede__some_that_wait_for_each_other__are_given_up_once_each(
    bench: Bench, until: conftest.Until
) -> None:
    bench.executor.dispatch(1, planned((start("a"), ()), (start("b"), (0,)), (start("c"), (1,))))
    await asyncio.sleep(0.5)
    bench.executor.supersede(frozenset({key("b"), key("c")}))
    await until(lambda: not bench.executor.busy)
    assert sorted(bench.log) == ["1 a succeeded 1", "1 b superseded 0", "1 c superseded 0"]


@pytest.mark.parametrize("is_cut_short", [True, False])
async def test_executor__the_agent_ends__nothing_is_said_of_what_it_breaks_off(is_cut_short: bool) -> None:
    async with tasks.Crew() as crew:
        bench = Bench(crew, took={"b": 0.25})
        bench.executor.dispatch(1, planned((fetch("b"), ())))
        await asyncio.sleep(0.125 if is_cut_short else 0.5)
        bench.executor.supersede(frozenset({key("b")}))
        await asyncio.sleep(0.125)
        bench.executor.dispatch(2, planned((fetch("b"), ())))
        await asyncio.sleep(0.125)
    assert bench.log == ["1 b superseded 0.125" if is_cut_short else "1 b succeeded 0.25"]

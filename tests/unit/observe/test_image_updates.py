"""Images that follow their registry: asked at once, in their rhythm, and not by all hosts in step."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.drivers.memory import driver, world
from agent.model import image, ledger
from agent.observe import image_updates
from agent.reasons import Reason
from tests import builders
from tests.unit.converge import conftest as virtual

pytestmark = pytest.mark.looptime

HOUR = 3600.0
NAME = builders.IMAGE


@dataclasses.dataclass(slots=True)
class Stage:
    """A registry, somebody who asks it, and the answers."""

    world: world.World
    follower: image_updates.UpdateChecker
    answers: list[tuple[float, ledger.LatestImage]] = dataclasses.field(default_factory=list)
    remembered: dict[str, ledger.LatestImage] = dataclasses.field(default_factory=dict)
    begun: float | None = None

    def track(self, *follows: image.UpdatePolicy) -> None:
        """Follow images from now on."""
        if self.begun is None:
            self.begun = asyncio.get_running_loop().time()
        self.follower.track(follows, self.remembered.get)

    def moments(self) -> list[float]:
        """Return when answers came, in seconds since the beginning."""
        return [round(moment - (self.begun or 0.0), 3) for moment, _ in self.answers]


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """Return a follower without chance in its rhythm."""
    monkeypatch.setattr("agent.observe.image_updates.random.uniform", lambda *_: 1.0)
    clock = virtual.LoopClock()
    around = world.World(clock)
    opened: list[Stage] = []

    def answer(name: str, newest: ledger.LatestImage) -> None:
        assert name == NAME
        opened[0].answers.append((asyncio.get_running_loop().time(), newest))

    async with image_updates.UpdateChecker(driver.runtime_in(around).images, clock, answer) as follower:
        opened.append(Stage(around, follower))
        yield opened[0]
    around.close()


async def test_follow__a_tag__is_asked_at_once_and_in_its_interval(stage) -> None:
    stage.world.published[NAME] = "sha256:1"
    stage.track(builders.follow(interval=HOUR))
    await asyncio.sleep(2.5 * HOUR)
    assert stage.moments() == [0.0, HOUR, 2 * HOUR]
    assert {newest.digest for _, newest in stage.answers} == {"sha256:1"}


async def test_follow__without_an_interval__is_asked_once(stage) -> None:
    stage.track(builders.follow(interval=None))
    await asyncio.sleep(10 * HOUR)
    assert stage.moments() == [0.0]


@pytest.mark.parametrize(("interval", "delay"), [(None, 60.0), (HOUR, 60.0), (5.0, 5.0)])
async def test_follow__nobody_answers__is_asked_again_soon(stage, interval: float | None, delay: float) -> None:
    stage.world.fail("images.digest", errors.Unavailable("no registry"), times=2)
    stage.track(builders.follow(interval=interval))
    await asyncio.sleep(2.5 * delay)
    assert stage.moments() == [0.0, delay, 2 * delay]
    assert [newest.problem for _, newest in stage.answers] == ["no registry", "no registry", ""]


async def test_follow__nobody_answers__what_was_known_is_kept(stage) -> None:
    stage.world.published[NAME] = "sha256:1"
    stage.track(builders.follow(interval=HOUR))
    await asyncio.sleep(1)
    stage.world.fail("images.digest", errors.Unavailable("no registry"))
    await asyncio.sleep(HOUR)
    assert [(newest.digest, newest.problem) for _, newest in stage.answers] == [
        ("sha256:1", ""),
        ("sha256:1", "no registry"),
    ]


@pytest.mark.parametrize(
    ("policy", "age", "first"),
    [
        (image.PullPolicy.IF_NOT_PRESENT, 600.0, HOUR - 600.0),
        (image.PullPolicy.IF_NOT_PRESENT, 2 * HOUR, 0.0),
        (image.PullPolicy.IF_NOT_PRESENT, -600.0, 0.0),
        (image.PullPolicy.ALWAYS, 600.0, 0.0),
    ],
)
async def test_follow__answered_before_a_restart__is_asked_when_it_is_due(
    stage, policy: image.PullPolicy, age: float, first: float
) -> None:
    follow_config = builders.follow(policy=policy, interval=HOUR)
    now = virtual.LoopClock().now()
    stage.remembered[NAME] = ledger.LatestImage(follow_config.question, now - age, NAME, "sha256:1")
    stage.track(follow_config)
    await asyncio.sleep(HOUR - 1)
    assert stage.moments()[0] == pytest.approx(first, abs=0.01)


async def test_follow__nobody_answers_after_a_restart__what_was_known_is_kept(stage) -> None:
    follow_config = builders.follow(interval=HOUR)
    stage.remembered[NAME] = ledger.LatestImage(follow_config.question, 5.0, NAME, "sha256:1")
    stage.world.fail("images.digest", errors.Unavailable("no registry"))
    stage.track(follow_config)
    await asyncio.sleep(1)
    assert [(newest.digest, newest.problem) for _, newest in stage.answers] == [("sha256:1", "no registry")]


async def test_follow__nobody_has_ever_answered__says_why_and_knows_nothing(stage) -> None:
    follow_config = builders.follow(interval=HOUR)
    stage.world.fail("images.digest", errors.Unavailable("no registry"))
    stage.track(follow_config)
    await asyncio.sleep(1)
    ((_, newest),) = stage.answers
    now = virtual.EPOCH + (stage.begun or 0.0)
    assert newest == ledger.LatestImage(follow_config.question, now, problem="no registry")


async def test_follow__another_question_was_answered_before__is_asked_at_once(stage) -> None:
    stage.remembered[NAME] = ledger.LatestImage("another question", virtual.LoopClock().now(), NAME, "sha256:1")
    stage.track(builders.follow(policy=image.PullPolicy.IF_NOT_PRESENT, interval=HOUR))
    await asyncio.sleep(1)
    assert stage.moments() == [0.0]


async def test_follow__a_range__is_answered_by_its_newest_version(stage) -> None:
    repository = NAME.rpartition(":")[0]
    stage.world.published |= {f"{repository}:{tag}": f"sha256:{tag}" for tag in ("1.2.0", "1.9.1", "2.0.0", "latest")}
    stage.track(builders.follow(track="1.x", interval=None))
    await asyncio.sleep(1)
    question = builders.follow(track="1.x").question
    now = virtual.EPOCH + (stage.begun or 0.0)
    assert [newest for _, newest in stage.answers] == [
        ledger.LatestImage(question, now, f"{repository}:1.9.1", "sha256:1.9.1")
    ]


async def test_follow__a_range_without_a_version__says_so(stage) -> None:
    stage.track(builders.follow(track="9.x", interval=None))
    await asyncio.sleep(1)
    assert "has no version in '9.x'" in stage.answers[0][1].problem


async def test_track__never_pulled__is_not_asked_for(stage) -> None:
    stage.track(builders.follow(policy=image.PullPolicy.NEVER, interval=1.0))
    await asyncio.sleep(10)
    assert stage.answers == []
    await stage.follower.answered(1.0)


async def test_track__no_longer_followed_or_in_another_way__is_asked_so(stage) -> None:
    stage.track(builders.follow(interval=10.0))
    await asyncio.sleep(15)
    stage.track(builders.follow(interval=100.0))
    await asyncio.sleep(150)
    stage.track()
    await asyncio.sleep(1000)
    assert stage.moments() == [0.0, 10.0, 15.0, 115.0]


async def test_track__the_same_again__asks_no_more_often(stage) -> None:
    for _ in range(10):
        stage.track(builders.follow(interval=100.0))
        await asyncio.sleep(1)
    assert stage.moments() == [0.0]


async def test_answered__waits_for_all_but_not_for_ever(stage) -> None:
    stage.world.delay("images.digest", 30.0)
    stage.track(builders.follow(interval=HOUR))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await stage.follower.answered(5.0)
    assert loop.time() - begun == pytest.approx(5.0)
    await stage.follower.answered(100.0)
    assert loop.time() - begun == pytest.approx(30.0, abs=0.1)


def test_spread__is_a_tenth_around() -> None:
    spread = [image_updates._spread(100.0) for _ in range(1000)]
    assert min(spread) >= 90
    assert max(spread) <= 110
    assert max(spread) - min(spread) > 10


@pytest.mark.parametrize(
    ("age", "problem", "first"), [(0.0, "", HOUR), (0.5, "", HOUR - 0.5), (HOUR, "", 0.0), (60.0, "no registry", 0.0)]
)
async def test_follow__answered_before_a_restart__counts_for_its_interval_unless_it_was_a_failure(
    stage, age: float, problem: str, first: float
) -> None:
    follow_config = builders.follow(policy=image.PullPolicy.IF_NOT_PRESENT, interval=HOUR)
    now = virtual.LoopClock().now()
    stage.remembered[NAME] = ledger.LatestImage(follow_config.question, now - age, NAME, "sha256:1", problem)
    stage.track(follow_config)
    await asyncio.sleep(HOUR + 1)
    assert stage.moments()[0] == pytest.approx(first, abs=0.01)


async def test_follow__answered_before_a_restart_and_asked_once_only__is_asked_again(stage) -> None:
    follow_config = builders.follow(policy=image.PullPolicy.IF_NOT_PRESENT, interval=None)
    stage.remembered[NAME] = ledger.LatestImage(follow_config.question, virtual.LoopClock().now() - 1, NAME, "sha256:1")
    stage.track(follow_config)
    await asyncio.sleep(10)
    assert stage.moments() == [0.0]


async def test_answered__by_an_earlier_run_of_the_agent__is_not_waited_for(stage) -> None:
    follow_config = builders.follow(policy=image.PullPolicy.IF_NOT_PRESENT, interval=HOUR)
    stage.remembered[NAME] = ledger.LatestImage(follow_config.question, virtual.LoopClock().now() - 1, NAME, "sha256:1")
    stage.track(follow_config)
    begun = asyncio.get_running_loop().time()
    await stage.follower.answered(100.0)
    assert asyncio.get_running_loop().time() - begun < 1


async def test_follow__nobody_has_ever_answered__nothing_is_said_of_when_it_was_asked_last(stage) -> None:
    stage.world.fail("images.digest", errors.Unavailable("no registry"))
    stage.track(builders.follow(interval=HOUR))
    await asyncio.sleep(0)
    await asyncio.sleep(1)
    assert (stage.answers[0][1].reference, stage.answers[0][1].digest) == ("", "")


async def test_follow__a_range_without_a_version__says_what_versions_look_like(stage) -> None:
    stage.world.published[NAME.rpartition(":")[0] + ":latest"] = "sha256:1"
    with pytest.raises(errors.NotFound) as raised:
        await stage.follower._latest(builders.follow(track="9.x"))
    assert (raised.value.reason, raised.value.hint) == (
        Reason.VERSION_NOT_FOUND,
        "versions are tags like 1.27.3 or v2.0.0, whole ones",
    )


async def test_follow__a_range_of_a_reference_with_a_digest__is_asked_by_the_version(stage) -> None:
    repository = NAME.rpartition(":")[0]
    stage.world.published[f"{repository}:1.9.1"] = "sha256:1"
    follow_config = dataclasses.replace(builders.follow(track="1.x"), reference=f"{NAME}@sha256:{'0' * 64}")
    answer = await stage.follower._latest(follow_config)
    assert answer.reference == f"{repository}:1.9.1"


async def test_checker__ended__asks_nobody_any_more_and_one_that_breaks_is_reported(stage) -> None:
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    stage.world.fail("images.digest", RuntimeError("a fault of ours"))
    before = asyncio.all_tasks()
    async with image_updates.UpdateChecker(
        driver.runtime_in(stage.world).images, virtual.LoopClock(), lambda *_: None
    ) as checker:
        checker.track([builders.follow(interval=HOUR)], lambda _: None)
        await asyncio.sleep(1)
        checker.track([builders.follow(interval=2 * HOUR)], lambda _: None)
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks() - before) == 1
    assert asyncio.all_tasks() == before
    assert [(context["message"], str(context["exception"])) for context in reported] == [
        (f"latest 0 of {NAME} has failed", "a fault of ours")
    ]


async def test_track__many_images__are_asked_for_eight_at_a_time(stage) -> None:
    stage.world.delay("images.digest", 1.0)
    answers: list[str] = []
    images = driver.runtime_in(stage.world).images
    follow_configs = [dataclasses.replace(builders.follow(interval=HOUR), name=f"app{number}") for number in range(20)]
    async with image_updates.UpdateChecker(
        images, virtual.LoopClock(), lambda name, _: answers.append(name)
    ) as checker:
        checker.track(follow_configs, lambda _: None)
        counts = []
        await asyncio.sleep(0.5)
        for _ in range(3):
            await asyncio.sleep(1)
            counts.append(len(answers))
    assert counts == [8, 16, 20]

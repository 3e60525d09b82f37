"""What could not be cleaned up stands until it is, and is tried again, ever more seldom."""

import asyncio
import dataclasses

import pytest

from agent.kit import notices


@dataclasses.dataclass
class Clock:
    """A clock that a test moves."""

    at: float = 100.0

    def now(self) -> float:
        """Return the time."""
        return 1_000_000.0 + self.at

    def monotonic(self) -> float:
        """Return the same, from elsewhere."""
        return self.at


@dataclasses.dataclass
class Mess:
    """Something that can be cleaned up after so many attempts."""

    failures: int
    attempts: int = 0

    async def clean(self) -> None:
        """Try."""
        self.attempts += 1
        if self.attempts <= self.failures:
            raise OSError(f"attempt {self.attempts}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def heard() -> list[notices.NoticeChange]:
    return []


@pytest.fixture
def register(clock: Clock, heard: list[notices.NoticeChange]) -> notices.Register:
    return notices.Register(clock, heard.append)


def test_failed__stands_with_all_its_reasons(register: notices.Register, heard: list[notices.NoticeChange]) -> None:
    error = ExceptionGroup("left-overs", [OSError("mount"), ExceptionGroup("more", [ValueError("two\nlines")])])
    register.failed("container 1", error, Mess(0).clean)
    (notice,) = register.all()
    assert notice.message == "OSError: mount; ValueError: two lines"
    assert (notice.reason, notice.subject, notice.attempts) == ("CleanUpFailed", "container 1", 1)
    assert [(change.notice, change.is_over) for change in heard] == [(notice, False)]


async def test_run__tries_again_ever_more_seldom_until_it_is_clean(
    register: notices.Register, clock: Clock, heard: list[notices.NoticeChange]
) -> None:
    mess = Mess(failures=3)
    register.failed("container 1", OSError("first"), mess.clean)
    waited = []
    while register.all():
        (notice,) = register.all()
        waited.append((notice.retry_at or 0.0) - clock.now())
        clock.at += waited[-1] - 0.01
        await register._try_due()
        assert mess.attempts == len(waited) - 1, "not before its time"
        clock.at += 0.02
        await register._try_due()
    assert waited == pytest.approx([1.0, 2.0, 4.0, 8.0])
    assert heard[-1].is_over
    assert [change.notice.attempts for change in heard[:-1]] == [1, 2, 3, 4]
    assert {change.notice.since for change in heard} == {heard[0].notice.since}


@pytest.mark.looptime
async def test_run__fails_while_it_waits_for_nothing__is_tried_in_its_time() -> None:
    clock = Clock()
    clock.monotonic = asyncio.get_running_loop().time  # type: ignore[method-assign]
    register = notices.Register(clock, lambda _: None)
    runner = asyncio.get_running_loop().create_task(register.run())
    await asyncio.sleep(0)
    mess = Mess(failures=1)
    register.failed("container 1", OSError("first"), mess.clean)
    await asyncio.sleep(10)
    assert register.all() == ()
    assert mess.attempts == 2
    runner.cancel()


def test_settled__elsewhere__is_not_tried_again(register: notices.Register, heard: list[notices.NoticeChange]) -> None:
    register.failed("container 1", OSError("first"), Mess(0).clean)
    register.settled("container 1")
    register.settled("container 2")
    assert register.all() == ()
    assert [change.is_over for change in heard] == [False, True]


def test_note__stands_and_is_not_tried(register: notices.Register) -> None:
    register.note(notices.NoticeReason.RECORDS_DAMAGED, "engine.sqlite", "was damaged")
    assert [(notice.reason, notice.retry_at) for notice in register.all()] == [("RecordsDamaged", None)]


def test_failed__more_than_fit__are_counted_and_not_kept(
    register: notices.Register, heard: list[notices.NoticeChange]
) -> None:
    for number in range(1100):
        register.failed(f"container {number}", OSError("full"), Mess(0).clean)
    assert len(register.all()) == 1000
    assert len(heard) == 1100

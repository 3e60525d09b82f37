"""When something is asked for again: in virtual time, so that each pause can be told."""

import asyncio
import datetime as dt

import pytest
import yarl

from agent.distribution.registry import retries, transport

ORIGIN = yarl.URL("https://registry.example")
OTHER = yarl.URL("https://other.example")
NOW = dt.datetime(2026, 3, 1, 12, 0, 0, tzinfo=dt.UTC)
pytestmark = pytest.mark.looptime


def _asked(seconds: float | None) -> transport.TransientError:
    return transport.TransientError("too many requests", retry_after=seconds)


def _time() -> float:
    return asyncio.get_running_loop().time()


async def test_pause__failure_after_failure__grows_and_then_raises_it() -> None:
    attempts = retries.Retries(pauses=(1.0, 2.0, 4.0))
    failure = _asked(None)
    waited = []
    for failures in (1, 2, 3):
        before = _time()
        await attempts.pause(failures, failure)
        waited.append(_time() - before)
    assert [0.75 <= waited[0] <= 1.25, 1.5 <= waited[1] <= 2.5, 3.0 <= waited[2] <= 5.0] == [True, True, True]
    before = _time()
    with pytest.raises(transport.TransientError) as caught:
        await attempts.pause(4, failure)
    assert (caught.value, _time()) == (failure, before)


async def test_pause__of_many__is_not_the_same_for_all() -> None:
    attempts = retries.Retries(pauses=(1.0,))
    waited = set()
    for _ in range(20):
        before = _time()
        await attempts.pause(1, _asked(None))
        waited.add(round(_time() - before, 3))
    assert len(waited) > 1


async def test_admit__a_place_that_has_asked_for_nothing__is_at_once() -> None:
    attempts = retries.Retries()
    attempts.note(OTHER, _asked(30.0))
    attempts.note(ORIGIN, _asked(None))
    before = _time()
    await attempts.admit(ORIGIN)
    assert _time() == before


async def test_admit__a_place_that_wants_to_be_left_alone__is_when_it_said() -> None:
    attempts = retries.Retries()
    before = _time()
    attempts.note(ORIGIN, _asked(30.0))
    attempts.note(ORIGIN, _asked(7.0))
    await attempts.admit(ORIGIN)
    assert _time() - before == pytest.approx(30.0, abs=0.01)


async def test_admit__asked_for_longer_while_it_waits__waits_longer() -> None:
    attempts = retries.Retries()
    before = _time()
    attempts.note(ORIGIN, _asked(10.0))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(attempts.admit(ORIGIN))
        await asyncio.sleep(5)
        attempts.note(ORIGIN, _asked(20.0))
        await waiting
    assert _time() - before == pytest.approx(25.0, abs=0.01)


async def test_admit__for_longer_than_anybody_waits__is_refused_at_once_and_allowed_in_its_time() -> None:
    attempts = retries.Retries(patience=60.0)
    attempts.note(ORIGIN, _asked(90.0))
    before = _time()
    with pytest.raises(
        transport.TransientError, match=r"registry\.example:443 asks to be left alone for 90 s"
    ) as caught:
        await attempts.admit(ORIGIN)
    assert (caught.value.reason, _time()) == ("ImagePullFailed", before)
    await asyncio.sleep(31)
    await attempts.admit(ORIGIN)
    assert _time() - before == pytest.approx(90.0, abs=0.01)


async def test_admit__a_place_that_is_not_to_be_waited_for__is_refused_at_once() -> None:
    attempts = retries.Retries()
    attempts.note(ORIGIN, _asked(2.0))
    before = _time()
    with pytest.raises(transport.TransientError):
        await attempts.admit(ORIGIN, wait=False)
    assert _time() == before
    await asyncio.sleep(2.1)
    await attempts.admit(ORIGIN, wait=False)


async def test_note__an_absurd_wish__holds_for_a_day() -> None:
    attempts = retries.Retries(patience=1e9)
    attempts.note(ORIGIN, _asked(1e11))
    before = _time()
    await attempts.admit(ORIGIN)
    assert _time() - before == pytest.approx(86400.0, abs=0.01)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("99999999999999999999", 999999999999.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sunday, 01-Mar-26 12:01:00 GMT", 60.0),
        ("Sun Mar  1 12:00:05 2026", 5.0),
        ("Sun, 01 Mar 2026 14:00:30 +0200", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("1e9", None),
        ("²", None),
        ("Sun, 01 Mar 99999 12:00:30 GMT", None),
        ("Sun, 01 Mar 2026 12:00:30 +9999", None),
        ("Sun, 01 Mar 2026 12:00:30 +99999999999999999999", None),
        ("Sun, 01 Mar 2026 99999999999999999999:00:30 GMT", None),
    ],
)
def test_wish__seconds_or_a_date__is_read_and_nothing_else(text: str, seconds: float | None) -> None:
    assert retries.parse_retry_after(text, NOW) == seconds

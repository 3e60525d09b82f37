"""Times as programs write them: with and without fractions, in any zone, and those that mean nothing."""

import datetime as dt

import hypothesis
import pytest
from hypothesis import strategies as st

from agent.kit import timestamps


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-25T03:38:30Z", 1795577910.0),
        ("2026-11-25T03:38:30.25Z", 1795577910.25),
        ("2026-11-25T03:38:30.250000000Z", 1795577910.25),
        ("2026-11-25T04:38:30.5+01:00", 1795577910.5),
        ("2026-11-25T02:08:30.5-01:30", 1795577910.5),
        ("2026-11-25T03:38:30.5+00:00", 1795577910.5),
        ("2026-11-25T03:38:30+00:00", 1795577910.0),
        ("2026-11-25T03:38:30.1234567891Z", 1795577910.123456789),
    ],
)
def test_time__with_and_without_a_fraction_in_any_zone__is_the_same_second(text: str, seconds: float) -> None:
    assert timestamps.seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None",
        "yesterday",
        ".",
        "2026-13-01T00:00:00Z",
        "2026-11-25T03:38:30.²Z",
        "9" * 50,
        "2026-11-25T03:38:30.5.5Z",
    ],
)
def test_time__that_is_none__is_nothing(text: str) -> None:
    assert timestamps.seconds(text) is None


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"])
def test_time__go_s_zero__means_never(text: str) -> None:
    assert timestamps.seconds(text) is None


@hypothesis.given(
    moment=st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2500, 1, 1), timezones=st.timezones())  # noqa: DTZ001
)
def test_time__as_python_writes_it__is_read_back_to_the_microsecond(moment: dt.datetime) -> None:
    fixed = moment.astimezone(dt.timezone(dt.timedelta(minutes=90)))
    assert timestamps.seconds(fixed.isoformat()) == pytest.approx(fixed.timestamp(), abs=1e-6)


@hypothesis.given(text=st.text(st.characters(codec="utf-8"), max_size=40))
def test_time__whatever_is_written__is_read_or_nothing(text: str) -> None:
    assert timestamps.seconds(text) is None or timestamps.seconds(text) > 0

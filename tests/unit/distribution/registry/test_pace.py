"""How slowly bytes may come."""

import pytest
import yarl

from agent.distribution.registry import transport

URL = yarl.URL("https://registry.example/v2/app/blobs/x")
LEAST = transport.LeastSpeed(limit=100, time=60.0)


def test_note__fast_enough_over_each_stretch__passes() -> None:
    pace = transport.Pace(LEAST)
    for _ in range(100):
        pace.note(URL, 59.0, 0)
        pace.note(URL, 1.0, 6000)
    with pytest.raises(transport.TooSlow):
        pace.note(URL, 60.0, 0)


def test_note__slower_than_the_least__is_too_slow_with_both_figures() -> None:
    pace = transport.Pace(LEAST)
    pace.note(URL, 59.0, 5899)
    with pytest.raises(transport.TooSlow, match=r"registry\.example:443 gives 98 bytes a second, less than 100"):
        pace.note(URL, 1.0, 1)


def test_note__what_came_long_ago__does_not_make_up_for_now() -> None:
    pace = transport.Pace(LEAST)
    pace.note(URL, 60.0, 10**9)
    with pytest.raises(transport.TooSlow):
        pace.note(URL, 60.0, 10)


def test_note__time_in_which_nobody_waited__does_not_count() -> None:
    pace = transport.Pace(LEAST)
    for _ in range(1000):
        pace.note(URL, 0.0, 1)
    with pytest.raises(transport.TooSlow):
        pace.note(URL, 600.0, 0)

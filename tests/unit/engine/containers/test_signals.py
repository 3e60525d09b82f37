"""Signals by all the names that images and manifests have for them."""

import pytest

from agent import errors
from agent.engine.containers import supervise


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("SIGTERM", 15),
        ("TERM", 15),
        ("sigterm", 15),
        ("15", 15),
        ("SIGKILL", 9),
        ("SIGWINCH", 28),
        ("SIGRTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("RTMIN+3", 37),
        ("SIGRTMAX-14", 50),
        ("37", 37),
        ("SIGRTMAX", 64),
    ],
)
def test_signal_number__by_any_name(name: str, number: int) -> None:
    assert supervise.signal_number(name) == number


@pytest.mark.parametrize(
    "name",
    [
        "",
        "SIG",
        "SIGNOTHING",
        "0",
        "65",
        "-9",
        "9999999999",
        "²",
        "SIGTERM+1",
        "SIGRTMIN+31",
        "RTMAX-31",
        "RTMIN-1",
        "9 ",
    ],
)
def test_signal_number__no_signal__is_refused(name: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        supervise.signal_number(name)
    assert (caught.value.reason, caught.value.hint) == ("InvalidSignal", "see kill -l")

"""Requests that containers end: people's are kept, an engine's farewell is taken back."""

import pathlib

import pytest

from agent.drivers.docker import sidecar, stop_requests


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        """Return the same time as ``monotonic``."""
        return self.time

    def monotonic(self) -> float:
        """Return the time that it was moved to."""
        return self.time


class Stream:
    """A stream of events at given seconds."""

    def __init__(self, path: pathlib.Path) -> None:
        self.clock = Clock()
        self.state_file = sidecar.StateFile(path)
        self.requests = stop_requests.StopRequests(self.state_file, self.clock)

    def asked(self, name: str, at: float) -> None:
        """Emit that a container's end was requested."""
        self.clock.time = 100.0 + at
        self.requests.add(name, 1000.0 + at)

    def ended(self, at: float) -> None:
        """Emit that a container has ended."""
        self.clock.time = 100.0 + at
        self.requests.ended()

    def lost(self, at: float) -> dict[str, float]:
        """Lose the stream, and give what is noted then of containers that were asked for."""
        self.clock.time = 100.0 + at
        self.requests.stream_ended()
        names = ("web", "db", "job")
        noted = {name: self.state_file.container(name).stop_requested_at for name in names}
        return {name: at for name, at in noted.items() if at}


@pytest.fixture
def stream(tmp_path: pathlib.Path) -> Stream:
    return Stream(tmp_path / "notes.json")


def test_requests__while_the_stream_goes_on__are_noted(stream: Stream) -> None:
    stream.asked("web", 1.0)
    stream.asked("web", 3.0)
    assert stream.state_file.container("web").stop_requested_at == 1003.0


def test_requests__from_before_the_engine_answered__are_its_own(stream: Stream) -> None:
    stream.requests.counted_from = 1002.0
    stream.asked("web", 1.0)
    stream.asked("db", 3.0)
    assert stream.lost(60.0) == {"db": 1003.0}


def test_stream_lost__after_all_were_asked_within_a_moment_and_ended__nobody_has_asked(stream: Stream) -> None:
    stream.asked("web", 1.0)
    stream.asked("db", 1.9)
    stream.asked("web", 11.0)  # by SIGKILL, as it did not listen
    stream.ended(11.1)
    assert stream.lost(12.0) == {}


def test_stream_lost__somebody_had_asked_for_one_before__only_that_request_stays(stream: Stream) -> None:
    stream.asked("job", 1.0)
    stream.ended(1.1)
    stream.asked("web", 3.0)
    stream.asked("db", 3.1)
    stream.ended(3.2)
    assert stream.lost(4.0) == {"job": 1001.0}


def test_stream_lost__long_after_the_last_end__the_engine_had_not_said_farewell(stream: Stream) -> None:
    stream.asked("web", 1.0)
    stream.ended(1.1)
    assert stream.lost(6.2) == {"web": 1001.0}


def test_stream_lost__one_was_started_since__its_older_request_is_as_it_was(stream: Stream) -> None:
    stream.asked("web", 1.0)
    stream.ended(1.1)
    stream.requests.started("web")
    stream.asked("web", 2.0)
    stream.ended(2.1)
    assert stream.lost(3.0) == {"web": 1001.0}


def test_stream_lost__nothing_was_asked__nothing_is_noted(stream: Stream) -> None:
    assert stream.lost(1.0) == {}

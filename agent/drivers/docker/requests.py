"""Who has asked for a container's end: somebody, or an engine that is shut down and takes its containers with it.

Docker tells both in the same words. A shutdown asks all containers within a moment, and soon after the last end there
is no engine left to tell anything: what was asked for then is taken back, or containers would stay down after a restart
of the engine under the policy ``UnlessStopped``.
"""

import dataclasses

from agent.drivers.docker import notes
from agent.kit import clock

_MOMENT = 1.0
"""Seconds between two requests of one shutdown, at most."""
_FAREWELL = 5.0
"""Seconds between the last end and that of the stream, at most; Docker takes about one."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Request:
    """The first request to end a run."""

    at: float
    before: float
    """What was noted until then."""


class Requests:
    """The requests that one stream of events has told of."""

    def __init__(self, book: notes.Book, time: clock.Clock) -> None:
        """None so far."""
        self.heeded_from = 0.0
        """When the engine began to answer: what it ended before, as its own start, nobody has asked for."""
        self._book = book
        self._clock = time
        self._open: dict[str, _Request] = {}
        self._last_end = 0.0

    def take(self, container_id: str, time: float) -> None:
        """Note a request: engines do not tell of it afterwards."""
        if time < self.heeded_from:
            return
        before = self._book.container(container_id).stop_requested_at
        self._open.setdefault(container_id, _Request(self._clock.monotonic(), before))
        self._book.note_stop(container_id, time)

    def ended(self) -> None:
        """A container has ended."""
        self._last_end = self._clock.monotonic()

    def started(self, container_id: str) -> None:
        """A container runs, whatever was asked for before."""
        self._open.pop(container_id, None)

    def stream_ended(self) -> None:
        """Take back what was no request of anybody's but the engine's farewell."""
        if self._clock.monotonic() - self._last_end > _FAREWELL:
            return
        latest = sorted(self._open.items(), key=lambda item: item[1].at, reverse=True)
        earliest = latest[0][1].at if latest else 0.0
        for container_id, request in latest:
            if earliest - request.at > _MOMENT:
                break
            earliest = request.at
            self._book.note_stop(container_id, request.before)

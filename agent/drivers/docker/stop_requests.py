"""Stop requests for containers: those of a user, told apart from those of an engine that shuts down.

Docker sends the same events for both. A shutdown stops all containers within a moment, and soon after the last exit
the stream ends with the engine: requests noted then are taken back, or containers with the policy ``UnlessStopped``
would stay down after a restart of the engine.
"""

from agent.drivers.docker import sidecar
from agent.kit import clock, frozen

_SHUTDOWN_GAP = 1.0
"""Seconds between two requests of one shutdown, at most."""
_SHUTDOWN_TIME = 5.0
"""Seconds between the last exit and the end of the stream, at most; Docker takes about one."""


@frozen.value
class _Request:
    """The first request to stop a run."""

    at: float
    before: float
    """The time that was noted before it."""


class StopRequests:
    """The stop requests that one stream of events has reported."""

    def __init__(self, state_file: sidecar.StateFile, time: clock.Clock) -> None:
        """Begin without requests."""
        self.counted_from = 0.0
        """When the engine began to answer: stops before that belong to its own start, and are no requests."""
        self._state_file = state_file
        self._clock = time
        self._open: dict[str, _Request] = {}
        self._last_end = 0.0

    def add(self, container_id: str, time: float) -> None:
        """Note a request: engines do not report it afterwards."""
        if time < self.counted_from:
            return
        before = self._state_file.container(container_id).stop_requested_at
        self._open.setdefault(container_id, _Request(self._clock.monotonic(), before))
        self._state_file.note_stop(container_id, time)

    def ended(self) -> None:
        """Record that a container has ended."""
        self._last_end = self._clock.monotonic()

    def started(self, container_id: str) -> None:
        """Record that a container runs: earlier requests are over."""
        self._open.pop(container_id, None)

    def stream_ended(self) -> None:
        """Take back the requests that came from the engine's own shutdown."""
        if self._clock.monotonic() - self._last_end > _SHUTDOWN_TIME:
            return
        latest = sorted(self._open.items(), key=lambda item: item[1].at, reverse=True)
        earliest = latest[0][1].at if latest else 0.0
        for container_id, request in latest:
            if earliest - request.at > _SHUTDOWN_GAP:
                break
            earliest = request.at
            self._state_file.note_stop(container_id, request.before)

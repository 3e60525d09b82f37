"""Watching monitors for their end: a pidfd for each container, in the event loop; no thread, no polling."""

import asyncio
import os
from collections.abc import Callable

from agent.engine.shim import liveness


class MonitorWatch:
    """The monitors that are watched."""

    def __init__(self, on_end: Callable[[str], None]) -> None:
        """Take the callback that gets a container's id when its monitor has ended."""
        self._on_end = on_end
        self._descriptors: dict[str, int] = {}

    def add(self, container_id: str, monitor: int, started: int | None) -> None:
        """Watch a container's monitor; one that has ended already is reported in the loop's next round."""
        descriptor = liveness.open_alive(monitor, started)
        loop = asyncio.get_running_loop()
        if descriptor is None:
            loop.call_soon(self._on_end, container_id)
            return
        self._descriptors[container_id] = descriptor
        loop.add_reader(descriptor, self._ended, container_id)

    def close(self) -> None:
        """Stop watching."""
        for container_id in list(self._descriptors):
            self._forget(container_id)

    def _ended(self, container_id: str) -> None:
        self._forget(container_id)
        self._on_end(container_id)

    def _forget(self, container_id: str) -> None:
        descriptor = self._descriptors.pop(container_id, None)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

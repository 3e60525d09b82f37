"""One costly call for many who want it at once."""

import asyncio
from collections.abc import Awaitable, Callable


class Batch:
    """Runs a call for all who have asked before it began; who asks while it runs is served by the next one."""

    def __init__(self, call: Callable[[], Awaitable[None]]) -> None:
        """Name the call; nothing is run yet."""
        self._call = call
        self._lock = asyncio.Lock()
        self._asked = 0
        self._served = 0

    async def done(self) -> None:
        """Come back when a call has been made that began after this. Raises what that call raises."""
        self._asked += 1
        ticket = self._asked
        async with self._lock:
            if self._served >= ticket:
                return
            upto = self._asked
            await self._call()
            self._served = upto

"""A source's hints, each followed by a reading; whoever asks has the source look at once."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from agent.sources import api

RETRY = 5.0
"""Seconds before a source whose watching broke is watched again."""


class Listener:
    """Listens to one source. A look is the source's own reading of its server or disk, and ours of what it has."""

    def __init__(
        self,
        source: api.Source,
        read: Callable[[], Awaitable[None]],
        fail: Callable[[api.SourceUnavailable], None],
    ) -> None:
        """``read`` reads what the source has, and never raises; ``fail`` is told why its hints ended."""
        self._source = source
        self._read = read
        self._fail = fail
        self._waiting: asyncio.Timeout | None = None
        """Ends the wait for the source's hints."""
        self._starts = 0
        """How often the source was listened to anew: it looks at once each time."""
        self._is_looking = False
        """It was listened to anew, and that look has not ended."""
        self._has_request = False
        """Somebody asked during that look."""
        self._looked = 0
        """The last of the starts whose look has ended."""
        self._look_ended = asyncio.Condition()

    async def listen(self) -> None:
        """Read whenever the source hints, for ever."""
        while True:
            hints = self._source.changes()
            self._starts += 1
            self._is_looking, self._has_request = True, False
            self._waiting = asyncio.timeout(None)
            try:
                async with self._waiting:
                    async for _ in hints:
                        await self._read()
                        await self._note_look()
                        self._is_looking = False
                        if self._has_request:
                            self.wake()
            except api.SourceUnavailable as error:
                self._fail(error)
                await self._note_look()
            except TimeoutError:
                if not self._waiting.expired():
                    raise
                continue  # somebody asks: a source looks at once when it is listened to anew
            finally:
                self._waiting = None
                if isinstance(hints, AsyncGenerator):
                    await hints.aclose()
            await asyncio.sleep(RETRY)

    def wake(self) -> None:
        """Let the source look now, whatever it hints; where it looks already, once more after that.

        A look under way is never cut off: requests that come faster than a server answers would keep it from ending.
        """
        if self._is_looking:
            self._has_request = True
        elif self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def look_now(self) -> None:
        """Let the source look now, and wait until that look has ended, be it with success or not."""
        number = self._starts + 1
        self.wake()
        async with self._look_ended:
            await self._look_ended.wait_for(lambda: self._looked >= number)

    async def _note_look(self) -> None:
        async with self._look_ended:
            self._looked = self._starts
            self._look_ended.notify_all()

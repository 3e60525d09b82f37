"""A git repository as a source: asked now and then what its ref is, fetched only when that has changed."""

import asyncio
import pathlib
import random
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from agent.sources import api, git_checkout, git_location

_JITTER = 0.1
"""Share of the interval by which looks are spread: ten thousand hosts must not ask one server in the same second."""

_Outcome = api.SourceSnapshot | api.SourceUnavailable | None


class GitSource:
    """One ref of a repository, polled in the background, so that a server that does not answer delays nobody."""

    def __init__(self, location: git_location.GitLocation, directory: pathlib.Path, *, prefer_checkout: bool) -> None:
        """Keep the checkout in ``directory/<slug>``.

        ``prefer_checkout`` gives what an earlier run fetched at first and asks the server afterwards: an agent that
        starts without a network brings back what is declared. Without it the first snapshot is fresh.
        """
        self._location = location
        self._checkout = git_checkout.Checkout(location, directory / location.slug)
        self._prefer_checkout = prefer_checkout
        self._polling = asyncio.Lock()
        self._outcome: _Outcome = None

    @property
    def name(self) -> str:
        """The location, free of credentials."""
        return str(self._location)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def snapshot(self) -> api.SourceSnapshot:
        """Give what was fetched last. Raises ``SourceUnavailable`` where the last attempt failed."""
        if self._outcome is None:
            await self._poll(stored=self._prefer_checkout)
        if isinstance(self._outcome, api.SourceSnapshot):
            return self._outcome
        failure = self._outcome or api.SourceUnavailable(f"{self.name} was never asked")
        raise api.SourceUnavailable(failure.message, hint=failure.hint)

    async def changes(self) -> AsyncIterator[None]:
        """Ask the server at once and then at each interval; a hint for each other commit, failure or recovery."""
        while True:
            if await self._poll():
                yield
            await asyncio.sleep(self._location.interval * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - spreads load

    async def _poll(self, *, stored: bool = False) -> bool:
        """Look once; tell whether a snapshot now gives something else. ``stored``: what an earlier run left will do."""
        async with self._polling:
            before = self._outcome
            try:
                self._outcome = await self._look(stored=stored)
            except api.SourceUnavailable as error:
                self._outcome = error
            except OSError as error:
                self._outcome = api.SourceUnavailable(f"{self.name}: cannot keep the checkout: {error}")
            return not _same(before, self._outcome)

    async def _look(self, *, stored: bool) -> api.SourceSnapshot:
        if stored and (found := await self._checkout.stored()) is not None:
            return found
        name, commit = await self._checkout.look_up()
        if isinstance(self._outcome, api.SourceSnapshot) and self._outcome.revision == commit:
            return self._outcome
        return await self._checkout.bring(name, commit)


def _same(one: _Outcome, other: _Outcome) -> bool:
    if isinstance(one, api.SourceSnapshot) or isinstance(other, api.SourceSnapshot):
        return one == other
    return str(one) == str(other)

"""A git repository as a source: asked now and then what its ref is, fetched only when that has changed."""

import asyncio
import dataclasses
import pathlib
import random
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from agent.sources import api, git_checkout, git_command, git_location
from agent.sources import limits as source_limits

_JITTER = 0.1
"""Share of the interval by which looks are spread: ten thousand hosts must not ask one server in the same second."""

_Outcome = api.SourceSnapshot | api.SourceUnavailable | None


class GitSource:
    """One ref of a repository, polled in the background, so that a server that does not answer delays nobody."""

    def __init__(
        self,
        location: git_location.GitLocation,
        directory: pathlib.Path,
        *,
        prefer_checkout: bool,
        limits: source_limits.Limits = source_limits.DEFAULT,
    ) -> None:
        """Keep the checkout in ``directory/<slug>``.

        ``prefer_checkout`` serves what an earlier run fetched first and asks the server afterwards: an agent that
        starts without a network brings back what is declared. Without it the first snapshot is fresh.
        """
        self._location = location
        self._checkout = git_checkout.Checkout(location, directory / location.slug, limits)
        self._prefer_checkout = prefer_checkout
        self._polling = asyncio.Lock()
        self._outcome: _Outcome = None
        self._refused: dict[str, git_command.TooLarge] = {}
        """The commit that was too large: it is not fetched again and again."""

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
        """Return the snapshot that was fetched last. Raises ``SourceUnavailable`` where the last attempt failed."""
        if self._outcome is None:
            await self._poll(stored=self._prefer_checkout)
        if isinstance(self._outcome, api.SourceSnapshot):
            return self._outcome
        failure = self._outcome or api.SourceUnavailable(f"{self.name} was never asked")
        raise api.SourceUnavailable(failure.message, hint=failure.hint)

    async def forget(self) -> None:
        """Remove what is kept of the repository on this host."""
        async with self._polling:
            await self._checkout.remove()
            self._outcome = None

    async def changes(self) -> AsyncIterator[None]:
        """Yield a hint after each look at the server, at once and then at each interval: each look is reported."""
        while True:
            await self._poll()
            yield
            await asyncio.sleep(self._location.interval * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - spreads load

    async def _poll(self, *, stored: bool = False) -> None:
        """Fetch once. With ``stored``, the checkout of an earlier run is enough."""
        async with self._polling:
            try:
                self._outcome = await self._look(stored=stored)
            except api.SourceUnavailable as error:
                self._outcome = error
            except OSError as error:
                self._outcome = api.SourceUnavailable(f"{self.name}: cannot keep the checkout: {error}")

    async def _look(self, *, stored: bool) -> api.SourceSnapshot:
        if stored and (checkout := await self._checkout.stored()) is not None:
            return dataclasses.replace(checkout, stored=True)
        name, commit = await self._checkout.look_up()
        if isinstance(self._outcome, api.SourceSnapshot) and self._outcome.revision == commit:
            return dataclasses.replace(self._outcome, stored=False)
        if commit in self._refused:
            raise self._refused[commit]
        try:
            return await self._checkout.bring(name, commit)
        except git_command.TooLarge as error:
            self._refused = {commit: error}
            raise

"""Asks registries for the latest image of each update policy: one task per image, each at its own interval."""

import asyncio
import contextlib
import dataclasses
import itertools
import random
from collections.abc import Callable, Iterable
from typing import Self

from agent import errors
from agent.kit import clock, tasks
from agent.model import image, ledger
from agent.oci import reference, versions
from agent.reasons import Reason
from agent.runtime import api

RETRY_INTERVAL = 60.0
"""Seconds after which a failed query is repeated, unless the interval is shorter anyway."""
_SPREAD = 0.1
"""The part of an interval by which hosts differ: ten thousand of them must not ask a registry in step."""
_AT_ONCE = 8


class UpdateChecker:
    """Queries registries at intervals. ``on_answer`` gets the Image's name and the answer, or why there was none."""

    def __init__(
        self, images: api.Images, time: clock.Clock, on_answer: Callable[[str, ledger.LatestImage], None]
    ) -> None:
        """Start without images."""
        self._images = images
        self._clock = time
        self._on_answer = on_answer
        self._crew = tasks.Crew()
        self._updates: dict[str, image.UpdatePolicy] = {}
        self._tasks: dict[str, str] = {}
        self._numbers = itertools.count()
        self._answered: dict[str, asyncio.Event] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def __aenter__(self) -> Self:
        await self._crew.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._crew.__aexit__(*error)

    def track(
        self, updates: Iterable[image.UpdatePolicy], previous: Callable[[str], ledger.LatestImage | None]
    ) -> None:
        """Start following new images, stop following others. ``previous`` returns an Image's last answer."""
        desired = {update.name: update for update in updates if update.policy is not image.PullPolicy.NEVER}
        for name, update in list(self._updates.items()):
            if desired.get(name) != update:
                self._crew.cancel(self._tasks[name])
                del self._updates[name], self._answered[name]
        for name, update in desired.items():
            if name not in self._updates:
                self._updates[name], self._answered[name] = update, asyncio.Event()
                self._tasks[name] = f"latest {next(self._numbers)} of {name}"
                self._crew.start(self._watch(update, previous(name)), name=self._tasks[name])

    async def answered(self, patience: float) -> None:
        """Wait until every followed image had an answer or a failure, ``patience`` seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                for event in list(self._answered.values()):
                    await event.wait()

    async def _watch(self, update: image.UpdatePolicy, before: ledger.LatestImage | None) -> None:
        latest = before if before is not None and before.question == update.question else None
        if latest is not None and update.policy is not image.PullPolicy.ALWAYS and update.interval is not None:
            age = self._clock.now() - latest.checked_at  # an agent that comes later need not ask again at once
            if 0 <= age < update.interval and not latest.problem:
                self._answered[update.name].set()
                await asyncio.sleep(_spread(update.interval - age))
        while True:
            latest = await self._ask(update, latest)
            self._answered[update.name].set()
            if not latest.problem and update.interval is None:
                return
            interval = RETRY_INTERVAL if update.interval is None else update.interval
            await asyncio.sleep(_spread(min(interval, RETRY_INTERVAL) if latest.problem else interval))

    async def _ask(self, update: image.UpdatePolicy, previous: ledger.LatestImage | None) -> ledger.LatestImage:
        async with self._turns:
            try:
                answer = await self._latest(update)
            except errors.Failure as error:
                before = previous or ledger.LatestImage(update.question, 0.0)
                answer = dataclasses.replace(before, checked_at=self._clock.now(), problem=str(error))
        self._on_answer(update.name, answer)
        return answer

    async def _latest(self, update: image.UpdatePolicy) -> ledger.LatestImage:
        target = reference.parse(update.reference)
        if update.track:
            tag = versions.newest(await self._images.tags(update.reference), update.track)
            if tag is None:
                raise errors.NotFound(
                    f"{target.registry}/{target.repository} has no version in {update.track!r}",
                    hint="versions are tags like 1.27.3 or v2.0.0, whole ones",
                    reason=Reason.VERSION_NOT_FOUND,
                )
            target = dataclasses.replace(target, tag=tag, digest=None)
        digest = await self._images.digest(str(target))
        return ledger.LatestImage(update.question, self._clock.now(), str(target), digest)


def _spread(seconds: float) -> float:
    return seconds * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - spreads load

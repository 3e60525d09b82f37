"""Asks registries what is newest of the images that follow them: one task an image, each in its own rhythm."""

import asyncio
import contextlib
import dataclasses
import itertools
import random
from collections.abc import Callable, Iterable
from typing import Self

from agent.kit import clock, tasks
from agent.model import image, ledger
from agent.oci import reference, versions
from agent.runtime import api, errors

AGAIN = 60.0
"""Seconds after which a question that nobody answered is asked again, unless it is asked more often anyway."""
_SPREAD = 0.1
"""The part of an interval by which hosts differ: ten thousand of them must not ask a registry in step."""
_AT_ONCE = 8


class Follower:
    """Keeps asking. ``on_answer`` is told the Image's name and what was answered, or why nothing was."""

    def __init__(self, images: api.Images, time: clock.Clock, on_answer: Callable[[str, ledger.Newest], None]) -> None:
        """Nothing is asked yet."""
        self._images = images
        self._clock = time
        self._on_answer = on_answer
        self._crew = tasks.Crew(self._broken)
        self._follows: dict[str, image.Follow] = {}
        self._tasks: dict[str, str] = {}
        self._numbers = itertools.count()
        self._answered: dict[str, asyncio.Event] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def __aenter__(self) -> Self:
        await self._crew.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._crew.__aexit__(*error)

    def track(self, follows: Iterable[image.Follow], known: Callable[[str], ledger.Newest | None]) -> None:
        """Begin with what is not followed yet, end with what no longer is. ``known``: what was answered before."""
        wanted = {one.name: one for one in follows if one.policy is not image.PullPolicy.NEVER}
        for name, follow in list(self._follows.items()):
            if wanted.get(name) != follow:
                self._crew.cancel(self._tasks[name])
                del self._follows[name], self._answered[name]
        for name, follow in wanted.items():
            if name not in self._follows:
                self._follows[name], self._answered[name] = follow, asyncio.Event()
                self._tasks[name] = f"newest {next(self._numbers)} of {name}"
                self._crew.start(self._watch(follow, known(name)), name=self._tasks[name])

    async def answered(self, patience: float) -> None:
        """Wait until all that is followed has been answered for once, or failed to be; so many seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                for event in list(self._answered.values()):
                    await event.wait()

    async def _watch(self, follow: image.Follow, before: ledger.Newest | None) -> None:
        known = before if before is not None and before.question == follow.question else None
        if known is not None and follow.policy is not image.PullPolicy.ALWAYS and follow.interval is not None:
            age = self._clock.now() - known.checked_at  # an agent that comes later need not ask again at once
            if 0 <= age < follow.interval and not known.problem:
                self._answered[follow.name].set()
                await asyncio.sleep(_spread(follow.interval - age))
        while True:
            known = await self._ask(follow, known)
            self._answered[follow.name].set()
            if not known.problem and follow.interval is None:
                return
            interval = AGAIN if follow.interval is None else follow.interval
            await asyncio.sleep(_spread(min(interval, AGAIN) if known.problem else interval))

    async def _ask(self, follow: image.Follow, known: ledger.Newest | None) -> ledger.Newest:
        async with self._turns:
            try:
                answer = await self._newest(follow)
            except errors.RuntimeFailure as error:
                before = known or ledger.Newest(follow.question, 0.0)
                answer = dataclasses.replace(before, checked_at=self._clock.now(), problem=str(error))
        self._on_answer(follow.name, answer)
        return answer

    async def _newest(self, follow: image.Follow) -> ledger.Newest:
        wanted = reference.parse(follow.reference)
        if follow.track:
            found = versions.newest(await self._images.tags(follow.reference), follow.track)
            if found is None:
                raise errors.NotFound(
                    f"{wanted.registry}/{wanted.repository} has no version in {follow.track!r}",
                    hint="versions are tags like 1.27.3 or v2.0.0, whole ones",
                    reason="VersionNotFound",
                )
            wanted = dataclasses.replace(wanted, tag=found, digest=None)
        digest = await self._images.digest(str(wanted))
        return ledger.Newest(follow.question, self._clock.now(), str(wanted), digest)

    def _broken(self, name: str, failure: BaseException) -> None:
        """Let one that fails by our own fault be told of, and the others go on."""
        asyncio.get_running_loop().call_exception_handler({"message": f"{name} broke", "exception": failure})


def _spread(seconds: float) -> float:
    return seconds * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - spreads load

"""What could not be cleaned up, and what had to be mended: kept as notices, and tried again until it is over."""

import enum
from collections.abc import Awaitable, Callable

from agent.kit import backoff, clock, frozen

_FIRST, _LONGEST = 1.0, 60.0
"""Seconds before a failed clean-up is tried again: at first, and at most."""
_KEPT = 1000
"""Notices at most: a host on which everything fails must not fill the memory with that."""


class NoticeReason(enum.StrEnum):
    """Why a notice stands; bounded, for metrics and programs."""

    CLEAN_UP_FAILED = "CleanUpFailed"
    """Something that nobody needs any more could not be taken away. It is tried again, and the notice goes with it."""
    RECORDS_DAMAGED = "RecordsDamaged"
    """A database was damaged. It was put aside and made again from what else is known."""


@frozen.value
class Notice:
    """One thing that people should know of until it is over. Times are seconds since the epoch."""

    reason: NoticeReason
    subject: str
    """What it is about: ``container 4f1d…``, ``engine.sqlite``. One notice a subject."""
    message: str
    """A sentence, on one line."""
    since: float
    attempts: int = 1
    retry_at: float | None = None
    """When it is tried again; ``None`` where there is nothing to be tried."""


@frozen.value
class NoticeChange:
    """A notice that begins or stands after another attempt, or that is over."""

    notice: Notice
    time: float
    """Seconds since the epoch."""
    is_over: bool = False


Retry = Callable[[], Awaitable[None]]


class Register:
    """All notices that stand, one a subject."""

    def __init__(self, time: clock.Clock, notify: Callable[[NoticeChange], None]) -> None:
        """Nothing stands yet. ``notify`` is told of every failure, also of repeated ones, and of its end."""
        import asyncio  # noqa: PLC0415 - commands that only print notices do not pay for it

        self._clock = time
        self._notify = notify
        self._notices: dict[str, Notice] = {}
        self._retries: dict[str, tuple[float, Retry]] = {}
        self._changed = asyncio.Event()

    def all(self) -> tuple[Notice, ...]:
        """Return what stands, sorted by subject."""
        return tuple(self._notices[subject] for subject in sorted(self._notices))

    def failed(self, subject: str, error: BaseException, retry: Retry) -> None:
        """Keep that a clean-up has failed; ``again`` is called until it raises nothing."""
        before = self._notices.get(subject)
        attempts = 1 if before is None else before.attempts + 1
        delay = backoff.delay(attempts, initial=_FIRST, maximum=_LONGEST)
        now = self._clock.now()
        since = now if before is None else before.since
        reason = NoticeReason.CLEAN_UP_FAILED
        self._put(Notice(reason, subject, explain(error), since, attempts, now + delay), now)
        self._retries[subject] = (self._clock.monotonic() + delay, retry)
        self._changed.set()

    async def attempt(self, subject: str, work: Retry) -> None:
        """Clean something up where nobody can do anything about a failure: it is kept, and tried again."""
        try:
            await work()
        except OSError as error:
            self.failed(subject, error, work)
        else:
            self.settled(subject)

    def settled(self, subject: str) -> None:
        """Drop what stands of a subject: it is cleaned up."""
        self._retries.pop(subject, None)
        notice = self._notices.pop(subject, None)
        if notice is not None:
            self._notify(NoticeChange(notice, self._clock.now(), is_over=True))

    def note(self, reason: NoticeReason, subject: str, message: str) -> None:
        """Keep that something had to be mended. It stands for as long as the register does."""
        now = self._clock.now()
        self._put(Notice(reason, subject, message, now), now)

    async def run(self) -> None:
        """Try again what has failed, each in its time, for ever."""
        import asyncio  # noqa: PLC0415 - see above

        while True:
            self._changed.clear()
            await self._try_due()
            pauses = [due - self._clock.monotonic() for due, _ in self._retries.values()]
            try:
                async with asyncio.timeout(max(0.0, min(pauses)) if pauses else None):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _try_due(self) -> None:
        for subject, (due, retry) in sorted(self._retries.items()):
            if due > self._clock.monotonic() or subject not in self._retries:
                continue
            try:
                await retry()
            except Exception as error:  # noqa: BLE001 - whatever it is: it stands, and is tried again
                self.failed(subject, error, retry)
            else:
                self.settled(subject)

    def _put(self, notice: Notice, time: float) -> None:
        if notice.subject in self._notices or len(self._notices) < _KEPT:
            self._notices[notice.subject] = notice
        self._notify(NoticeChange(notice, time))


def explain(error: BaseException) -> str:
    """Return all failures in an error, in one line."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(explain(part) for part in error.exceptions)
    return " ".join(f"{type(error).__name__}: {error}".split())

"""From a source to what is desired: reads whenever the source hints, and lets the last good revision stand otherwise.

Reading is slow where a server or a disk is; so it is a task of its own, and a pass takes what was read last.
"""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Callable, Mapping

from agent import errors
from agent.converge import history, journal, signals
from agent.kit import clock
from agent.manifests import pipeline, problem
from agent.model import state
from agent.sources import api

RETRY = 5.0
"""Seconds before a source whose watching broke is watched again."""


class BadManifests(errors.TrimtabError):
    """A source has problems: nothing may be done by it. ``reading`` tells them."""

    def __init__(self, reading: "Reading") -> None:
        """Count them; who shows the error shows them too."""
        self.reading = reading
        count = len(reading.problems)
        super().__init__(f"the manifests have {count} problem{'s' if count > 1 else ''}", hint="nothing was changed")


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """A source, read and understood as far as it can be."""

    snapshot: api.SourceSnapshot
    problems: tuple[problem.Problem, ...]
    desired: state.DesiredState
    """Empty where there are problems."""
    parsed: pipeline.Parsed

    def checked(self) -> state.DesiredState:
        """Give what is desired. Raises ``BadManifests`` where there are problems."""
        if self.problems:
            raise BadManifests(self)
        return self.desired

    @property
    def contents(self) -> Mapping[str, bytes]:
        """Give each file's bytes by its path, for excerpts."""
        return {file.path: file.data for file in self.snapshot.files}


def understand(snapshot: api.SourceSnapshot, terms: pipeline.Terms) -> Reading:
    """Parse and lower a snapshot."""
    unread = tuple(problem.Problem(file.path, 1, 1, file.problem, "") for file in snapshot.files if file.problem)
    files = [pipeline.ManifestFile(file.path, file.directory, file.data) for file in snapshot.files if not file.problem]
    parsed = pipeline.parse(files, terms)
    problems = (*unread, *parsed.problems)
    if problems:
        return Reading(snapshot, problems, state.DesiredState(snapshot.revision), parsed)
    return Reading(snapshot, (), lower(parsed, snapshot.revision), parsed)


def lower(parsed: pipeline.Parsed, revision: str) -> state.DesiredState:
    """Lower what was parsed, with the archives as they are now."""
    return pipeline.lower(parsed, revision, api.stamp(parsed.archives))


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """What an intake works with."""

    source: api.Source
    book: journal.Journal
    sink: signals.Sink
    time: clock.Clock
    terms: pipeline.Terms


class Intake:
    """Knows what is desired now. What stands survives a bad source, an empty one, and a restart of the agent."""

    def __init__(self, around: Surroundings, on_change: Callable[[], None]) -> None:
        """Begin with the last good revision of an earlier run; ``on_change`` is told of every other one."""
        self._around = around
        self._on_change = on_change
        good = around.book.good()
        self.standing = state.DesiredState("") if good is None else good.desired
        self.read_at: float | None = None if good is None else good.at
        """When what stands was read."""
        self.attempted = asyncio.Event()
        """Set once the source has been tried."""
        self.trouble = "the source has not been read yet"
        """Why what stands may be out of date; empty while the source is good."""
        self._known: tuple[object, ...] | None = None
        self._parsed: pipeline.Parsed | None = None

    async def watch(self) -> None:
        """Read now and whenever the source hints, for ever."""
        await self.read()
        while True:
            hints = self._around.source.changes()
            try:
                async for _ in hints:
                    await self.read()
            except api.SourceUnavailable as error:
                self._fail(error)
            finally:
                if isinstance(hints, AsyncGenerator):
                    await hints.aclose()
            await asyncio.sleep(RETRY)

    async def watch_archives(self, interval: float) -> None:
        """Look now and then whether an image archive was rewritten: no source tells of files outside of it."""
        while True:
            await asyncio.sleep(interval)
            if self._parsed is not None and self._parsed.archives:
                desired = await asyncio.to_thread(lower, self._parsed, self.standing.revision)
                if desired != self.standing:
                    self._stand(desired)

    async def read(self) -> None:
        """Read once. Never raises for what a source can do: that is told by signals."""
        try:
            snapshot = await self._around.source.snapshot()
            known = (snapshot.revision, *(file.problem for file in snapshot.files if file.problem))
            if known == self._known and self._parsed is None:
                return
            if known == self._known and self._parsed is not None:
                self._accept(await asyncio.to_thread(lower, self._parsed, snapshot.revision))
                return
            reading = await asyncio.to_thread(understand, snapshot, self._around.terms)
            self._known = known
            if reading.problems:
                self._reject(reading)
            else:
                self._parsed = reading.parsed
                self._accept(reading.desired)
        except api.SourceUnavailable as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a file that breaks our parser must not take the agent down
            self._around.sink(signals.TaskFailed("reading the source", error))
            self.trouble = f"{type(error).__name__}: {error}"
        finally:
            self.attempted.set()

    def _accept(self, desired: state.DesiredState) -> None:
        self.trouble = ""
        now = self._around.time.now()
        objects = sum(1 for _ in desired)
        empty = not objects and any(True for _ in self.standing)
        changed = not empty and dataclasses.replace(desired, revision=self.standing.revision) != self.standing
        name = self._around.source.name
        self._around.sink(signals.SourceRead(name, desired.revision, objects, changed, empty, now))
        if not empty and desired != self.standing:
            self._around.book.history.record_revision(history.Revision(desired.revision, name, now, (), None))
            self._stand(desired)

    def _stand(self, desired: state.DesiredState) -> None:
        self.standing = desired
        self.read_at = self._around.time.now()
        self._around.book.accept(journal.Good(desired, self._around.source.name, self.read_at))
        self._on_change()

    def _reject(self, reading: Reading) -> None:
        self._parsed = None
        self.trouble = str(reading.problems[0])
        now = self._around.time.now()
        name, revision = self._around.source.name, reading.snapshot.revision
        self._around.sink(signals.SourceRejected(name, revision, reading.problems, now))
        problems = tuple(str(one) for one in reading.problems)
        self._around.book.history.record_revision(history.Revision(revision, name, now, problems, None))

    def _fail(self, error: api.SourceUnavailable) -> None:
        repeated = self.trouble == str(error)
        self.trouble = str(error)
        self._known = None
        name, now = self._around.source.name, self._around.time.now()
        self._around.sink(signals.SourceFailed(name, error.message, error.hint, repeated, now))

"""From a source to what is desired: reads whenever the source hints, and lets the last good revision stand otherwise.

Reading is slow where a server or a disk is; so it is a task of its own, and a pass takes what was read last.
"""

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Self

from agent.converge import acceptance, history, journal, listening, signals
from agent.converge import goal as goals
from agent.converge import reading as readings
from agent.kit import clock, frozen, tasks, turns
from agent.manifests import admission, pipeline, problem
from agent.model import external_input, state
from agent.sources import api, change_hints, external_inputs, input_watch

INPUTS = 30.0
"""Seconds between two looks at external inputs of which no hint comes."""
INPUT_QUIET_PERIOD = change_hints.QuietPeriod(quiet=0.03, maximum=0.25)
_SOONEST = 0.001
"""Seconds between two looks at least: a moment that a timer has all but reached is not looked at again and again."""
DOUBTFUL = 5.0
"""Seconds for which a source may say what is not believed yet, before that is a trouble."""


@frozen.value
class Difference:
    """How what was read differs from what stands."""

    is_of_content: bool
    """In more than the revision's name: in objects, or in the values of secrets."""
    is_recorded: bool
    """In anything that is written down: all but the values of secrets."""

    @classmethod
    def between(cls, desired: state.DesiredState, standing: state.DesiredState) -> Self:
        """Compare all of two states."""
        return cls(
            is_of_content=dataclasses.replace(desired, revision=standing.revision) != standing,
            is_recorded=desired.without_secrets() != standing.without_secrets(),
        )

    @property
    def is_any(self) -> bool:
        """Tell whether anything differs."""
        return self.is_of_content or self.is_recorded


@frozen.value
class Surroundings:
    """What an intake works with."""

    source: api.Source
    book: journal.Journal
    sink: signals.Sink
    time: clock.Clock
    parse_options: pipeline.ParseOptions


class Intake:
    """Knows what is desired now. What stands survives a bad source, an empty one, and a restart of the agent."""

    def __init__(self, around: Surroundings, on_change: Callable[[], None]) -> None:
        """Begin with the last good revision of an earlier run; ``on_change`` is told of every other one."""
        self._around = around
        self._on_change = on_change
        good = around.book.good()
        refusal = None if good is None else next(admission.refusals(good.desired, around.parse_options.admitted), None)
        if refusal is not None:  # settings have changed: what runs goes on, and nothing is done by it any more
            good = None
        self.standing = state.DesiredState("") if good is None else good.desired
        self._is_forgotten = around.book.is_forgetful()
        """What stood before this agent is not known: the journal was damaged."""
        self.goal = goals.Goal.everything(self.standing)
        """Of what stands, made with it in a thread: hashing a thousand objects would hold up the event loop."""
        self.read_at: float | None = None if good is None else good.at
        """When what stands was read."""
        self.attempted = asyncio.Event()
        """Set once the source has been tried."""
        self.trouble = "the source has not been read yet" if refusal is None else f"no longer admitted: {refusal}"
        """Why what stands may be out of date; empty while the source is good."""
        self.health = api.SourceHealth()
        """How the last look at the source went."""
        self._listener = listening.Listener(around.source, self.read, self._fail)
        self._read_from: tuple[object, ...] | None = None
        self._reading: readings.Reading | None = None
        """The last snapshot's, of which ``_read_from`` says what it was made of."""
        self._reported_problems: tuple[problem.Problem, ...] = ()
        """Of the last snapshot: they are not told again."""
        self._has_written_problem = any(past.problems for past in around.book.history.revisions(1))
        """The revision that was written down last has problems: they are what ``status`` tells of without an agent."""
        self._accepted: readings.Reading | None = None
        """What the state that stands was lowered from; ``None`` where that was an earlier agent."""
        self._acceptance = acceptance.Acceptance()
        self._inputs = external_inputs.InputTracker()
        self._input_hints = change_hints.ChangeHints(INPUT_QUIET_PERIOD, INPUTS)
        self._doubted_since: float | None = None
        self._is_awaited = False
        """Whether it was told of this doubt how long it lasts."""
        self._next_look_at: float | None = None
        self._is_doubted = asyncio.Event()
        self._read_ended = asyncio.Event()
        """Set, and replaced by another one, whenever a reading has ended."""
        self._order = asyncio.Lock()  # what was read or stamped first must not come to stand last

    async def watch(self) -> None:
        """Read now and whenever the source hints, for ever."""
        await self.read()
        await self._listener.listen()

    def wake(self) -> None:
        """Let the source look now, whatever it hints; where it looks already, once more after that."""
        self._listener.wake()

    async def look_now(self) -> None:
        """Let the source look now, and wait until that look has ended, be it with success or not."""
        await self._listener.look_now()

    async def confirm(self) -> None:
        """Read once more whenever what was read is not believed yet, for ever."""
        while True:
            self._is_doubted.clear()
            moment = self._next_look_at
            wait = None if moment is None else max(_SOONEST, moment - self._around.time.monotonic())
            try:
                async with asyncio.timeout(wait):
                    await self._is_doubted.wait()  # an earlier moment may be asked for meanwhile
            except TimeoutError:
                self._next_look_at = None
                await self.read()

    async def watch_inputs(self) -> None:
        """Look at the external inputs whenever one of them may have changed, and now and then: for ever."""
        loop = asyncio.get_running_loop()

        def from_thread() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._input_hints.note)

        watch = input_watch.InputWatch(from_thread)
        try:
            async for _ in self._input_hints.settled():
                await tasks.in_thread(functools.partial(watch.follow, self._declared_inputs()))
                await self._look_at_inputs()
        finally:
            watch.stop()

    def _declared_inputs(self) -> list[external_input.ExternalInput]:
        """Return the inputs of what stands, and of what was read last, be it good or bad."""
        current = [reading for reading in (self._accepted, self._reading) if reading is not None]
        inputs = dict.fromkeys(external for reading in current for external in reading.parsed.inputs)
        return [external for external in inputs if self._may_look_at(external)]

    def _may_look_at(self, external: external_input.ExternalInput) -> bool:
        """Return whether an input is looked at: no tree is walked that the source may not build from."""
        admitted = self._around.parse_options.admitted
        return external.kind is not external_input.InputKind.BUILD or admitted.admits_path(external.path)

    async def _look_at_inputs(self) -> None:
        async with self._order:
            accepted, latest = self._accepted, self._reading
            if not (declared := self._declared_inputs()):
                return
            states = await asyncio.to_thread(self._read_inputs, declared)
            self._request_input_look()
            if accepted is not None and _has_changed(accepted, states):
                # lowering a thousand manifests again, to the same, would be most of an idle agent's work
                await self._take_inputs(accepted, states)
            is_other = latest is not accepted and latest is not None and not latest.has_unread_files
        if is_other and latest is not None and _has_changed(latest, states):
            await self.read()  # it was not accepted: its inputs may have been the reason
        self._note_end_of_reading()

    async def _take_inputs(self, accepted: readings.Reading, states: external_input.Inputs) -> None:
        """Lower what stands again; where an input cannot be used any more, what stands goes on."""
        reading = await asyncio.to_thread(accepted.with_inputs, states)
        is_latest = self._reading is accepted
        self._accepted = reading
        if is_latest:
            self._reading = reading
        if reading.problems:
            if is_latest:
                self._reject(reading)
        elif is_latest:
            self._reported_problems = ()
            await self._accept(reading)
        elif (await self._compare(reading.desired)).is_any:
            await self._stand(reading.desired)

    async def _compare(self, desired: state.DesiredState) -> Difference:
        """Compare with what stands. With many objects this takes tens of milliseconds: it is done in a thread."""
        standing = self.standing
        return await tasks.in_thread(lambda: Difference.between(desired, standing))

    def _read_inputs(self, inputs: Iterable[external_input.ExternalInput]) -> external_input.Inputs:
        """Read inputs together with those of what stands, which are not to be forgotten meanwhile. It blocks."""
        standing = () if self._accepted is None else self._accepted.parsed.inputs
        return self._inputs.read(dict.fromkeys((*inputs, *standing)))

    async def read(self) -> None:
        """Read once. Never raises for what a source can do: that is told by signals."""
        async with self._order:
            try:
                snapshot = await self._around.source.snapshot()
                reading = await self._understand(snapshot)
                await self._take(snapshot, reading)
            except api.SourceUnavailable as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - a file that breaks our parser must not take the agent down
                self._around.sink(signals.TaskFailed("reading the source", error))
                self.trouble = f"{type(error).__name__}: {error}"
                self._note(self.health.failed(self.trouble, self._around.time.now()))
            finally:
                self.attempted.set()
                self._note_end_of_reading()

    def _note_end_of_reading(self) -> None:
        """Wake those who wait for a reading of the source, or of its inputs."""
        self._read_ended.set()
        self._read_ended = asyncio.Event()

    async def read_certain(self) -> state.DesiredState:
        """Look at the source now, wait until what it declares is believed, and return that.

        Raises ``SourceUnavailable``, also where it does not come to rest, and ``reading.BadManifests``.
        """
        await self.look_now()
        try:
            async with asyncio.timeout(acceptance.NOT_RESTING_AFTER):
                while not self.health.error and self._is_uncertain:
                    await self._read_ended.wait()
        except TimeoutError as error:
            why = self.trouble or "a file that it names is being written"
            raise api.SourceUnavailable(f"{self._around.source.name} does not rest: {why}") from error
        if self.health.error or self._reading is None:
            raise api.SourceUnavailable(self.health.error or self.trouble)
        return self._reading.checked()

    @property
    def _is_uncertain(self) -> bool:
        """Return whether what was read last may be half of it, or may still be missed."""
        if self._reading is None or self._reading.snapshot.unsettled or self._inputs.next_reading_in is not None:
            return True
        return self._doubted_since is not None and not self._reading.problems

    async def peek(self) -> readings.Reading:
        """Return what the source says now, without letting it stand. Raises ``SourceUnavailable``."""
        async with self._order:
            snapshot = await api.settled(self._around.source)
            before = self._reading_of(_contents(snapshot))
        if before is None:
            return await asyncio.to_thread(readings.understand, snapshot, self._around.parse_options)
        if before.has_unread_files:
            return before
        states = await asyncio.to_thread(external_inputs.read, before.parsed.inputs)
        return await asyncio.to_thread(dataclasses.replace(before, snapshot=snapshot).with_inputs, states)

    def _reading_of(self, contents: tuple[object, ...]) -> readings.Reading | None:
        """Return the last reading where it was of the same contents: parsing takes longest of all."""
        return self._reading if contents == self._read_from else None

    async def _understand(self, snapshot: api.SourceSnapshot) -> readings.Reading:
        """Parse a snapshot. One that is as it was is lowered again only, for the external inputs' sake."""
        contents = _contents(snapshot)
        before = self._reading_of(contents)
        if before is None:
            options = self._around.parse_options
            reading = await asyncio.to_thread(readings.understand, snapshot, options, self._read_inputs)
            self._reported_problems = ()
            self._input_hints.note()  # others may have to be watched
        elif before.has_unread_files:
            reading = before
        else:
            states = await asyncio.to_thread(self._read_inputs, before.parsed.inputs)
            reading = await asyncio.to_thread(dataclasses.replace(before, snapshot=snapshot).with_inputs, states)
        self._read_from, self._reading = contents, reading
        self._request_input_look()
        return reading

    def _request_input_look(self) -> None:
        """Look again soon where an input is being written."""
        if self._inputs.next_reading_in is not None:
            asyncio.get_running_loop().call_later(self._inputs.next_reading_in, self._input_hints.note)

    def _request_look(self, moment: float) -> None:
        self._next_look_at = moment if self._next_look_at is None else min(moment, self._next_look_at)
        self._is_doubted.set()

    async def _take(self, snapshot: api.SourceSnapshot, reading: readings.Reading) -> None:
        """Let what was read stand, if it is good and may be believed."""
        if reading.problems:
            if not snapshot.unsettled:  # or they may be those of half a file
                self._reject(reading)
        elif not any(True for _ in reading.desired) or self._is_believed(snapshot, reading.desired):
            await turns.checkpoint()
            await self._accept(reading)
        if not snapshot.stored:
            self._note(self.health.succeeded(snapshot.revision, self._around.time.now()))

    def _is_believed(self, snapshot: api.SourceSnapshot, desired: state.DesiredState) -> bool:
        """Judge what would be removed; what is not believed yet is read again."""
        now = self._around.time.monotonic()
        standing = acceptance.standing_of(self.standing, is_forgotten=self._is_forgotten)
        proposal = readings.proposal(snapshot, desired)
        if self._accepted is None:  # what files held before an earlier agent ended is not known: any may have been cut
            shortened = snapshot.age
        else:
            missing = standing.names - proposal.names
            shortened = acceptance.shortened(missing, self._accepted.declared_in, snapshot.changed_in_place)
        proposal = dataclasses.replace(proposal, shortened=shortened, data=standing.data)
        decision = self._acceptance.judge(standing.names, proposal, now)
        if decision.next_look_at is None:
            self._doubted_since = None
            return True
        self._request_look(decision.next_look_at)
        if self._doubted_since is None:
            self._doubted_since, self._is_awaited = now, False
        delay = decision.next_look_at - now
        if delay > acceptance.CERTAIN_AFTER and not self._is_awaited:
            self._is_awaited = True
            self._around.sink(signals.SourceAwaited(self._around.source.name, min(decision.missing), delay))
        if now - self._doubted_since > DOUBTFUL and (snapshot.unsettled or proposal.shortened is None):
            writing = f"; {snapshot.unsettled[0]} is being written" if snapshot.unsettled else ""
            self.trouble = f"the source no longer declares {min(decision.missing)}, but does not rest{writing}"
        return False

    async def _accept(self, reading: readings.Reading) -> None:
        desired = reading.desired
        self.trouble, self._doubted_since = "", None
        now = self._around.time.now()
        objects = sum(1 for _ in desired)
        empty = not objects and any(True for _ in self.standing)
        difference = await self._compare(desired)
        changed = not empty and difference.is_of_content
        name = self._around.source.name
        self._around.sink(signals.SourceRead(name, desired.revision, objects, changed, empty, now))
        if empty:
            return
        self._accepted = reading
        if difference.is_recorded or self._has_written_problem:
            revision = history.Revision(desired.revision, name, now, (), None)
            self._around.book.history.record_revision(revision, has_stood=not difference.is_recorded)
            self._has_written_problem = False
        if difference.is_any:
            await self._stand(desired)

    async def _stand(self, desired: state.DesiredState) -> None:
        """Let a state stand, also over a restart. Writing a large one as text takes a while: it is done in a thread."""
        good = journal.Good(desired, self._around.source.name, self._around.time.now())
        text, goal = await tasks.in_thread(lambda: (good.text(), goals.Goal.everything(desired, self.goal)))
        self.standing, self.goal = desired, goal
        self.read_at, self._is_forgotten = good.at, False
        self._around.book.keep_good(good, text)
        self._on_change()

    def _reject(self, reading: readings.Reading) -> None:
        repeated, self._reported_problems = self._reported_problems == reading.problems, reading.problems
        self.trouble = str(reading.problems[0])
        now = self._around.time.now()
        name, revision = self._around.source.name, reading.snapshot.revision
        is_first = not self.standing.is_known
        self._around.sink(signals.SourceRejected(name, revision, reading.problems, now, is_first, repeated))
        if not repeated:
            problems = tuple(str(problem) for problem in reading.problems)
            self._around.book.history.record_revision(history.Revision(revision, name, now, problems, None))
            self._has_written_problem = True

    def _fail(self, error: api.SourceUnavailable) -> None:
        repeated = self.trouble == str(error)
        self.trouble = str(error)
        self._read_from = None
        self._acceptance.forget()
        name, now = self._around.source.name, self._around.time.now()
        self._around.sink(signals.SourceFailed(name, error.message, error.hint, repeated, now))
        self._note(self.health.failed(str(error), now))

    def _note(self, health: api.SourceHealth) -> None:
        self.health = health
        self._around.sink(signals.SourceLooked(self._around.source.name, health))


def _has_changed(reading: readings.Reading, states: external_input.Inputs) -> bool:
    """Return whether an input of a reading is no longer what it was then."""
    return any(states[external] != reading.inputs.get(external) for external in reading.parsed.inputs)


def _contents(snapshot: api.SourceSnapshot) -> tuple[object, ...]:
    """Return what the meaning of a snapshot's files goes by: what they hold, and which could not be read."""
    return snapshot.revision, *(file.problem for file in snapshot.files if file.problem)

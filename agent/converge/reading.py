"""A source read once: what its files mean, their problems, and whether they can be believed."""

import asyncio
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from agent import errors
from agent.converge import acceptance, signals
from agent.kit import counts, failpoint, frozen, lean
from agent.manifests import pipeline, problem
from agent.model import external_input, state
from agent.sources import api, external_inputs

_UNDERSTAND = failpoint.register("converge.understand")

ReadInputs = Callable[[Iterable[external_input.ExternalInput]], external_input.Inputs]
"""Returns what each external input is. It blocks."""


class BadManifests(errors.TrimtabError):
    """A source has problems: nothing may be done by it. ``reading`` tells them."""

    def __init__(self, reading: "Reading") -> None:
        """Count them; who shows the error shows them too."""
        self.reading = reading
        count = len(reading.problems)
        super().__init__(f"the manifests have {counts.counted(count, 'problem')}", hint="nothing was changed")


@frozen.value
class Reading:
    """A source, read and understood as far as it can be.

    It prints as nothing much: ``asyncio.run`` makes a text of a task's result as it ends, and drops it.
    """

    snapshot: api.SourceSnapshot = dataclasses.field(repr=False)
    problems: tuple[problem.Problem, ...] = dataclasses.field(repr=False)
    desired: state.DesiredState = dataclasses.field(repr=False)
    """Empty where there are problems."""
    parsed: pipeline.Parsed = dataclasses.field(repr=False)
    inputs: external_input.Inputs = dataclasses.field(repr=False)
    """What the external inputs were; empty where the files themselves have problems."""

    @property
    def has_unread_files(self) -> bool:
        """Return whether files themselves have problems: what inputs they name is not certain."""
        return bool(self.parsed.problems) or any(file.problem for file in self.snapshot.files)

    def with_inputs(self, inputs: external_input.Inputs) -> "Reading":
        """Return the same files lowered again, with the external inputs as they are now.

        What is wrong in those is a problem too. Must not be called where files have problems.
        """
        problems = pipeline.input_problems(self.parsed, inputs)
        if problems:
            desired = state.DesiredState(self.snapshot.revision)
        else:
            desired = pipeline.lower(self.parsed, self.snapshot.revision, inputs)
        return Reading(self.snapshot, problems, desired, self.parsed, inputs)

    def checked(self) -> state.DesiredState:
        """Give what is desired. Raises ``BadManifests`` where there are problems."""
        if self.problems:
            raise BadManifests(self)
        return self.desired

    @property
    def declared_in(self) -> Mapping[str, str]:
        """Give the path of the file that declares each object, by the object's key as text."""
        return {str(manifest.key): manifest.document.path for manifest in self.parsed.manifests}

    @property
    def contents(self) -> Mapping[str, bytes]:
        """Give each file's bytes by its path, for excerpts."""
        return {file.path: file.data for file in self.snapshot.files}


def understand(
    snapshot: api.SourceSnapshot,
    parse_options: pipeline.ParseOptions,
    read_inputs: ReadInputs = external_inputs.read,
) -> Reading:
    """Parse and lower a snapshot. It blocks."""
    _UNDERSTAND.hit()
    with lean.collector_paused():
        unread = tuple(problem.Problem(file.path, 1, 1, file.problem, "") for file in snapshot.files if file.problem)
        parsed = pipeline.parse(_manifest_files(snapshot), parse_options)
        problems = (*unread, *parsed.problems)
        reading = Reading(snapshot, problems, state.DesiredState(snapshot.revision), parsed, {})
        return reading if problems else reading.with_inputs(read_inputs(parsed.inputs))


def _manifest_files(snapshot: api.SourceSnapshot) -> Sequence[pipeline.ManifestFile]:
    return [
        pipeline.ManifestFile(file.path, file.directory, file.data, snapshot.folder)
        for file in snapshot.files
        if not file.problem
    ]


async def read_certain(
    source: api.Source, parse_options: pipeline.ParseOptions, standing: acceptance.Standing, sink: signals.Sink
) -> Reading:
    """Read a source until it is certain what it declares, for somebody who will act by it once.

    What its files held before is not known: where something would be removed, each that is young may have been cut, and
    be written anew step by step. Raises ``SourceUnavailable``, also where that does not come to rest, and
    ``BadManifests`` for one with problems.
    """
    loop = asyncio.get_running_loop()
    judge = acceptance.Acceptance(longest_change=math.inf)  # who acts once gives up instead
    began, is_announced = loop.time(), False
    while True:
        snapshot = await api.settled(source)
        reading = await asyncio.to_thread(understand, snapshot, parse_options)
        proposed = dataclasses.replace(
            proposal(snapshot, reading.checked()), shortened=snapshot.age, data=standing.data
        )
        now = loop.time()
        decision = judge.judge(standing.names, proposed, now)
        if decision.next_look_at is None or not any(True for _ in reading.desired):
            return reading
        if now - began > acceptance.NOT_RESTING_AFTER:
            raise api.SourceUnavailable(
                f"{source.name} no longer declares {min(decision.missing)}, and does not rest: it may be half written",
                hint="try again when it is finished; a commit, of a git source, is believed at once",
            )
        if not is_announced:
            sink(signals.SourceAwaited(source.name, min(decision.missing), decision.next_look_at - now))
            is_announced = True
        await asyncio.sleep(min(decision.next_look_at - now, acceptance.CERTAIN_AFTER))


def proposal(snapshot: api.SourceSnapshot, desired: state.DesiredState) -> acceptance.Proposal:
    """Return what a snapshot proposes to be believed."""
    names = acceptance.names_of(desired)
    state_of_source = f"{snapshot.revision} {snapshot.layout}"
    return acceptance.Proposal(state_of_source, names, not snapshot.unsettled, snapshot.atomic)

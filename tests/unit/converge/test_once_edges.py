"""Converging once at its edges: what is checked, written down and refused, and how long it waits at most."""

import asyncio
import dataclasses
import sqlite3

import pytest

from agent import errors
from agent.converge import goal as goals
from agent.converge import history, journal, once, signals
from agent.model import state
from tests import builders
from tests.unit.converge import conftest, test_once

pytestmark = pytest.mark.looptime
MANIFEST = test_once.MANIFEST
DB, API = builders.config("db"), builders.config("api")
UNKNOWN = builders.config("unknown", image="docker.io/library/unknown:1")


def test_outcome__is_what_programs_read() -> None:
    assert [outcome.value for outcome in once.Outcome] == ["applied", "partial", "failed"]


async def test_converge_once__says_no_more_than_it_knows(stage: conftest.Stage) -> None:
    result = await once.converge_once(stage.parts, goals.Goal.everything(conftest.declare(DB)), 60.0)
    assert (result.revision, result.timed_out) == ("r1", False)
    assert (result.declares_nothing, result.nothing_here) == (False, False)


async def test_apply__never_ends__comes_back_after_ten_minutes(stage: conftest.Stage, script: conftest.Script) -> None:
    stage.world.delay("containers.start", 10_000.0)
    script.write("web.yaml", MANIFEST)
    began = asyncio.get_running_loop().time()
    result = await once.apply(stage.parts, script)
    assert asyncio.get_running_loop().time() - began == pytest.approx(600.0, abs=0.5)
    assert result.timed_out
    assert stage.of(signals.RevisionApplied) == []
    assert [row.applied_at for row in stage.parts.book.history.revisions()] == [None]


async def test_apply__a_registry_does_not_answer__goes_on_without_after_a_minute(stage: conftest.Stage) -> None:
    stage.world.delay("images.digest", 10_000.0)
    desired = dataclasses.replace(conftest.declare(DB), follows=(builders.follow(interval=60.0),))
    began = asyncio.get_running_loop().time()
    await once.converge_once(stage.parts, goals.Goal.everything(desired), 5.0)
    assert 60.0 <= asyncio.get_running_loop().time() - began <= 65.5


async def test_apply__is_checked_first__what_is_refused_changes_nothing(
    stage: conftest.Stage, script: conftest.Script
) -> None:
    shown: list[state.DesiredState] = []

    async def check(desired: state.DesiredState) -> None:
        shown.append(desired)
        if len(shown) == 1:
            raise errors.TrimtabError("not now", hint="later")

    script.write("web.yaml", MANIFEST)
    with pytest.raises(errors.TrimtabError, match="not now"):
        await once.apply(stage.parts, script, check=check)
    assert (stage.states(), stage.parts.book.good(), stage.parts.book.history.revisions()) == ({}, None, ())
    assert (await once.apply(stage.parts, script, check=check)).outcome is once.Outcome.APPLIED
    assert [[config.name for config in desired.containers] for desired in shown] == [["web"]] * 2


async def test_apply__is_written_down_whole_with_when_it_was_read(
    stage: conftest.Stage, script: conftest.Script
) -> None:
    await asyncio.sleep(7)
    now = stage.parts.time.now()
    script.write("web.yaml", MANIFEST)
    result = await once.apply(stage.parts, script)
    good = stage.parts.book.good()
    assert good is not None
    assert (good.source, good.at, good.desired.revision) == ("script", now, result.revision)
    (row,) = stage.parts.book.history.revisions()
    assert (row.revision, row.source, row.read_at, row.problems) == (result.revision, "script", now, ())
    (applied,) = stage.of(signals.RevisionApplied)
    assert applied.duration == pytest.approx(1.0, abs=0.2)


def changed(stage: conftest.Stage, statement: str) -> None:
    """Change the journal by SQL."""
    with sqlite3.connect(stage.path) as connection:
        connection.execute(statement)
    connection.close()


async def test_apply__the_same_files_mean_something_else_than_what_stood__are_another_reading(
    stage: conftest.Stage, script: conftest.Script
) -> None:
    script.write("web.yaml", MANIFEST)
    revision = (await once.apply(stage.parts, script)).revision
    stage.parts.book.accept(journal.Good(conftest.declare(DB, revision=revision), "script", 1.0))
    await once.apply(stage.parts, script)
    assert len(stage.parts.book.history.revisions()) == 2
    stage.parts.book.history.record_revision(history.Revision(revision, "script", 2.0, ("web.yaml:1:1: oh",), None))
    await once.apply(stage.parts, script)
    assert [bool(row.problems) for row in stage.parts.book.history.revisions()] == [False, True, False, False]
    changed(stage, "DELETE FROM good")
    await once.apply(stage.parts, script)
    assert len(stage.parts.book.history.revisions()) == 5


async def test_apply__an_empty_source_again__is_one_reading(stage: conftest.Stage, script: conftest.Script) -> None:
    script.write("web.yaml", MANIFEST)
    await once.apply(stage.parts, script)
    script.files.clear()
    for _ in range(2):
        assert (await once.apply(stage.parts, script)).declares_nothing
    assert len(stage.parts.book.history.revisions()) == 2


async def test_delete__some_of_it_cannot_be_removed__is_partial(stage: conftest.Stage) -> None:
    await once.converge_once(stage.parts, goals.Goal.everything(conftest.declare(DB, API)), 60.0)
    stage.world.fail("containers.remove", errors.Unavailable("busy"), times=1)
    stage.world.delay("containers.remove", 0.1)
    result = await once.delete(stage.parts, conftest.declare(DB, API), deadline=0.5)
    assert (result.outcome, result.timed_out, result.nothing_here) == (once.Outcome.PARTIAL, True, False)


async def test_delete__nothing_of_it_is_here_and_another_runtime_was_used__is_refused(stage: conftest.Stage) -> None:
    book, declared = stage.parts.book, conftest.declare(DB)
    name = stage.parts.runtime.features.name
    book.note_runtime(name)
    book.accept(journal.Good(conftest.declare(DB, API), "script", 1.0))
    assert (await once.delete(stage.parts, declared)).nothing_here, "it may have been removed by hand"
    book.accept(journal.Good(conftest.declare(DB, API), "script", 1.0))
    for other in ("docker", "podman"):
        book.note_runtime(other)
    with pytest.raises(once.RunsElsewhere) as refused:
        await once.delete(stage.parts, declared)
    assert str(refused.value) == (
        f"nothing was removed: none of it is in the runtime {name}, and this root is used with docker and podman"
        " as well (trimtab --runtime docker delete SOURCE)"
    )
    good = book.good()
    assert good is not None
    assert len(good.desired.containers) == 2
    assert (await once.delete(stage.parts, conftest.declare(UNKNOWN))).nothing_here
    await once.converge_once(stage.parts, goals.Goal.everything(declared), 60.0)
    assert (await once.delete(stage.parts, declared)).outcome is once.Outcome.APPLIED


async def test_restart__of_a_journal_that_knows_nothing__says_what_is_not_there(stage: conftest.Stage) -> None:
    with pytest.raises(once.NotThere) as raised:
        await once.restart(stage.parts, frozenset({state.key_of(DB), state.key_of(API)}), 5.0)
    assert str(raised.value) == "Container/api is not there (trimtab apply SOURCE brings about what is declared)"

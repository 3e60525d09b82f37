"""Suspended objects: kept in the journal, left alone by the loop, and kept as declared again once resumed."""

import asyncio
import contextlib
import pathlib
import sqlite3

import pytest

from agent.converge import journal, signals
from agent.model import suspension
from agent.model.key import Kind, ObjectKey
from tests.unit.converge import conftest, test_loop

WEB = ObjectKey(Kind.CONTAINER, "web")
DB = ObjectKey(Kind.CONTAINER, "db")
ONLY_WEB = frozenset({WEB})


def opened(path: pathlib.Path) -> journal.Journal:
    return journal.Journal(path, pytest.fail)


def test_journal__opened_again__what_is_suspended_stays_so_since_it_was(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        assert book.suspend(frozenset({WEB, DB}), 5.0) == ("Container/db", "Container/web")
        assert book.suspend(None, 6.0) == ("Source",)
        assert book.suspend(ONLY_WEB, 7.0) == ()
        assert book.resume(frozenset({DB}), 8.0) == ("Container/db",)
    with opened(tmp_path / "j") as book:
        suspensions = book.suspensions.current
        assert suspensions == suspension.Suspensions(6.0, (suspension.Suspension(WEB, 5.0),))
        assert suspensions.moments([WEB, DB]) == {WEB: 5.0, DB: 6.0}
        assert book.resume(None, 9.0) == ("Source",)
        assert book.suspensions.current.moments([WEB, DB]) == {WEB: 5.0}
        events = [(action.outcome.key, action.outcome.action) for action in book.history.actions(9)]
    assert events == [
        *(("Source", "Resume"), ("Container/db", "Resume"), ("Source", "Suspend")),
        *(("Container/web", "Suspend"), ("Container/db", "Suspend")),
    ]


def test_journal__of_an_earlier_release_that_is_only_read__suspends_nothing(tmp_path: pathlib.Path) -> None:
    opened(tmp_path / "j").__exit__()
    with contextlib.closing(sqlite3.connect(tmp_path / "j")) as connection, connection:
        connection.execute("DROP TABLE suspensions")
    with journal.Journal(tmp_path / "j") as book:
        assert book.suspensions.current == suspension.Suspensions()


def test_suspend__the_journal_cannot_be_written__is_refused_and_nothing_is_suspended(tmp_path: pathlib.Path) -> None:
    opened(tmp_path / "j").__exit__()
    with journal.Journal(tmp_path / "j") as book:  # which is only read
        with pytest.raises(journal.JournalUnavailable, match="cannot be written"):
            book.suspend(ONLY_WEB, 1.0)
        assert book.suspensions.current == suspension.Suspensions()


@pytest.mark.looptime
async def test_suspend__its_container_ends__is_started_by_resume_only(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", test_loop.MANIFEST % "web")
    async with test_loop.running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        changed = await going.suspend(ONLY_WEB)
        assert changed.subjects == ("Container/web",)
        assert stage.conditions("Container/web")["Ready"] == ("True", "Running")
        stage.world.end("web", 1)
        await until(lambda: stage.conditions("Container/web")["Ready"] == ("False", "Suspended"))
        assert stage.conditions("Container/web")["Stalled"][0] == "False"
        await asyncio.sleep(600)
        assert stage.states() == {"web": "exited"}
    async with test_loop.running(stage, script) as going:  # another agent, with the same journal
        await asyncio.sleep(60)
        assert stage.states() == {"web": "exited"}
        assert (await going.resume(ONLY_WEB)).subjects == ("Container/web",)
        await until(lambda: stage.states() == {"web": "running"})


@pytest.mark.looptime
async def test_suspend__the_source__what_it_declares_anew_or_no_longer_waits_for_resume(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", test_loop.MANIFEST % "web")
    async with test_loop.running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        await going.suspend(None)
        script.write("api.yaml", test_loop.MANIFEST % "api")
        del script.files["web.yaml"]
        await until(lambda: "api" in {config.name for config in stage.of(signals.PassFinished)[-1].desired.containers})
        await asyncio.sleep(60)
        assert stage.states() == {"web": "running"}
        assert len(stage.of(signals.RevisionApplied)) == 1
        assert stage.conditions("Container/web")["Ready"][1] == "Suspended"
        await going.resume(None)
        await until(lambda: stage.states() == {"api": "running"})


@pytest.mark.looptime
async def test_suspend__its_object_is_gone_for_good__is_forgotten(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", test_loop.MANIFEST % "web" + "---\n" + test_loop.MANIFEST % "db")
    async with test_loop.running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        await going.suspend(ONLY_WEB)
        script.write("web.yaml", test_loop.MANIFEST % "db")
        await until(lambda: stage.conditions("Container/web")["Ready"][1] == "Suspended")
        assert stage.parts.book.suspensions.current.objects
        stage.world.end("web", 0)
        await stage.parts.runtime.containers.remove("web")
        await until(lambda: stage.parts.book.suspensions.current == suspension.Suspensions())


def test_journal__of_other_releases__its_rows_mean_the_same(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.suspend(None, 5.0)
        book.suspend(ONLY_WEB, 6.0)
    with contextlib.closing(sqlite3.connect(tmp_path / "j")) as connection, connection:
        rows = sorted(connection.execute("SELECT kind, name, since FROM suspensions"))
        assert rows == [("", "", 5.0), ("Container", "web", 6.0)]
        connection.execute("INSERT INTO suspensions VALUES ('Unheard', 'of', 7.0)")
    with journal.Journal(tmp_path / "j") as book:
        assert book.suspensions.current == suspension.Suspensions(5.0, (suspension.Suspension(WEB, 6.0),))


def test_suspend__nothing_is_to_be_changed__needs_no_journal_that_can_be_written(tmp_path: pathlib.Path) -> None:
    with opened(tmp_path / "j") as book:
        book.suspend(ONLY_WEB, 5.0)
    with journal.Journal(tmp_path / "j") as book:  # which is only read
        assert (book.suspend(ONLY_WEB, 6.0), book.resume(frozenset({DB}), 7.0)) == ((), ())
        with pytest.raises(journal.JournalUnavailable):
            book.resume(ONLY_WEB, 8.0)
        assert book.suspensions.current == suspension.Suspensions(None, (suspension.Suspension(WEB, 5.0),))

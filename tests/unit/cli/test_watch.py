"""``--watch`` prints what has changed and nothing else, and ends quietly by Ctrl-C."""

import dataclasses
import json
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from agent import invocation
from agent.agent_api import past, status
from agent.cli import event_watch, flags, status_watch, watching
from agent.kit import notices
from tests.unit.cli import test_status_view as views

T = TypeVar("T")
EVENT = past.Event(1.0, "Container/web", "StartContainer", "Missing", "succeeded", "", 0.0, "r1")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "INTERVAL", 0.0)


def asking(*answers: T) -> Callable[[], T]:
    """Return a question with those answers, behind which somebody presses Ctrl-C."""
    remaining = list(reversed(answers))

    def ask() -> T:
        if not remaining:
            raise KeyboardInterrupt
        return remaining.pop()

    return ask


def watch(output: flags.TableOutput, *answers: status.Status) -> None:
    """Watch those answers."""
    with pytest.raises(KeyboardInterrupt):
        status_watch.watch(asking(*answers), output, invocation.Invocation())


def test_status__changes__are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    stopped = dataclasses.replace(views.WELL, detail="exited (1)")
    other = views.item("db", ready=True, reason="Available", detail="running")
    watch(
        flags.TableOutput.TEXT,
        views.answer(views.WELL, other),
        views.answer(views.WELL, other),
        views.answer(stopped, other),
        views.answer(stopped),
        views.answer(stopped, troubles=(views.NOBODY,)),
        views.answer(stopped),
    )
    lines = capsys.readouterr().out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("Container/db"))
    assert [line.split("  ")[0] for line in lines[first + 1 :]] == [
        "Container/api",
        "Container/db",
        f"not well: {views.NOBODY.message}",
        f"over: {views.NOBODY.message}",
    ]
    assert "exited (1)" in lines[first + 1]
    assert lines[first + 2].endswith("  removed")


def later_lines(capsys: pytest.CaptureFixture[str], *answers: status.Status) -> list[str]:
    """Return what is printed after the first answer, which has ``api`` as its last line."""
    watch(flags.TableOutput.TEXT, *answers)
    lines = capsys.readouterr().out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("Container/api"))
    return lines[first + 1 :]


def bad(*problems: str) -> status.Status:
    """Return the status of an agent whose manifests have problems."""
    source = dataclasses.replace(views.SOURCE, result=status.LookResult.REJECTED, problems=problems)
    return views.answer(views.WELL, source=source, troubles=tuple(status.source_troubles(source, empty=False)))


def test_status__problems_of_manifests__are_a_line_each_as_they_come_and_go(
    capsys: pytest.CaptureFixture[str],
) -> None:
    well = views.answer(views.WELL)
    one, two, other = "a.yaml:1:1: no", "b.yaml:2:1: nor that", "a.yaml:3:1: no"
    assert later_lines(capsys, well, bad(one), bad(one, two), bad(other, two), bad(other), well) == [
        "not well: the manifests have 1 problem: the last good revision stands",
        f"problem {one}",
        "not well: the manifests have 2 problems: the last good revision stands",
        f"problem {two}",
        f"problem {other}",
        f"over: {one}",
        "not well: the manifests have 1 problem: the last good revision stands",
        f"over: {two}",
        "over: the manifests have 1 problem: the last good revision stands",
        f"over: {other}",
    ]


def test_status__two_troubles_of_one_kind__are_both_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    def failed(*subjects: str, attempts: int = 1) -> status.Status:
        reason = notices.NoticeReason.CLEAN_UP_FAILED
        standing = tuple(notices.Notice(reason, subject, "target is busy", 1.0, attempts) for subject in subjects)
        return views.answer(views.WELL, notices=standing, troubles=tuple(status.notice_troubles(standing)))

    answers = (failed("container 4f1d"), failed("container 4f1d", "container 5f1d"), failed("container 4f1d"))
    lines = later_lines(capsys, *answers, failed("container 4f1d", attempts=2))
    assert lines == [
        "not well: container 5f1d cannot be cleaned up (1 attempt so far): target is busy",
        "over: container 5f1d cannot be cleaned up (1 attempt so far): target is busy",
        "not well: container 4f1d cannot be cleaned up (2 attempts so far): target is busy",
    ]
    assert later_lines(capsys, failed("a", attempts=2), failed("a", attempts=3), failed("a", attempts=4)) == []


def test_status__a_new_revision_and_a_suspended_source__are_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    looked = dataclasses.replace(views.SOURCE, looked_at=views.NOW)
    read = dataclasses.replace(views.SOURCE, revision="r2", read_at=views.NOW)
    suspended = dataclasses.replace(read, suspended_at=views.NOW)
    sources = (views.SOURCE, looked, read, suspended)
    lines = later_lines(capsys, *(views.answer(views.WELL, source=source) for source in sources))
    assert [line.partition(" of ")[0] for line in lines] == ["source /srv, revision r2", "source /srv, revision r2"]
    assert ["suspended for" in line for line in lines] == [False, True]


def test_status__a_notice__is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    notice = notices.Notice(notices.NoticeReason.RECORDS_DAMAGED, "engine.sqlite", "was made again", 1.0)
    well = views.answer(views.WELL)
    assert later_lines(capsys, well, views.answer(views.WELL, notices=(notice,)), well) == [
        "note: engine.sqlite: was made again",
        "over: engine.sqlite: was made again",
    ]


def test_status__longer_words__stand_below_the_headings_and_what_follows_below_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    usual = dataclasses.replace(views.WELL, detail="exited (137), next start in 5s")
    longer = dataclasses.replace(views.WELL, detail="x" * 50, restarts=7)
    watch(flags.TableOutput.TEXT, *map(views.answer, (views.WELL, usual, longer, views.WELL)))
    lines = capsys.readouterr().out.splitlines()
    headings = next(line for line in lines if line.startswith("OBJECT"))
    first, second, third, last = (line for line in lines if line.startswith("Container/api"))
    age = headings.index("AGE")
    assert [len(line.rpartition("  ")[0]) + 2 for line in (first, second)] == [age, age]
    assert third.index("7") == len(last.rpartition("  ")[0]) + 2 - len("RESTARTS  ")


def test_status__the_same_looked_at_later__is_no_change() -> None:
    later = dataclasses.replace(
        views.LOOPING,
        conditions=tuple(dataclasses.replace(condition, since=1.0) for condition in views.LOOPING.conditions),
    )
    assert status_watch.essence(later) == status_watch.essence(views.LOOPING)
    assert status_watch.essence(dataclasses.replace(later, restarts=5)) != status_watch.essence(later)


@pytest.mark.parametrize("output", [flags.TableOutput.JSON, flags.TableOutput.NAME, flags.TableOutput.YAML])
def test_status__for_programs__is_a_document_for_each_change(
    output: flags.TableOutput, capsys: pytest.CaptureFixture[str]
) -> None:
    watch(output, views.answer(views.WELL), views.answer(views.WELL), views.answer())
    text = capsys.readouterr().out
    match output:
        case flags.TableOutput.JSON:
            documents = [json.loads(line) for line in text.splitlines()]
            assert [document["object"] for document in documents] == ["Container/api", "Container/api"]
            assert documents[1]["removed"]
        case flags.TableOutput.NAME:
            assert text == "Container/api\nContainer/api\n"
        case _:
            assert text.count("---\n") == 2
            assert "object: Container/api" in text


def test_events__only_new_ones_follow(capsys: pytest.CaptureFixture[str]) -> None:
    older = dataclasses.replace(EVENT, at=0.5, object="Container/old")
    newer = dataclasses.replace(EVENT, at=2.0, object="Container/new", error="no such\nimage", result="failed")
    question = asking((EVENT,), (older, EVENT), (older, EVENT, newer), (newer,))
    with pytest.raises(KeyboardInterrupt):
        event_watch.watch(question, flags.Output.TEXT, invocation.Invocation())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines if line.startswith("1970")] == ["Container/web", "Container/new"]
    assert lines[-2:] == ["    no such", "    image"]


def test_events__longer_words__stand_below_the_headings(capsys: pytest.CaptureFixture[str]) -> None:
    usual = dataclasses.replace(EVENT, at=2.0, object="Image/docker.io/library/nginx", action="ReplaceContainer")
    longer = dataclasses.replace(EVENT, at=3.0, object="Image/" + "x" * 40)
    last = dataclasses.replace(EVENT, at=4.0)
    question = asking((EVENT,), (EVENT, usual), (EVENT, usual, longer), (EVENT, usual, longer, last))
    with pytest.raises(KeyboardInterrupt):
        event_watch.watch(question, flags.Output.TEXT, invocation.Invocation())
    lines = capsys.readouterr().out.splitlines()
    starts = [line.index("succeeded") for line in lines[1:]]
    assert starts[:2] == [lines[0].index("RESULT")] * 2
    assert starts[2] == starts[3] > starts[1]


def test_events__commands_in_errors__have_the_flags_of_the_instance(capsys: pytest.CaptureFixture[str]) -> None:
    failed = dataclasses.replace(EVENT, error="trimtab doctor", result="failed")
    flags_of_it = invocation.Invocation(flags=("--root", "/r"))
    with pytest.raises(KeyboardInterrupt):
        event_watch.watch(
            asking((failed,), (failed, dataclasses.replace(failed, at=2.0))), flags.Output.TEXT, flags_of_it
        )
    assert capsys.readouterr().out.count("    trimtab --root /r doctor\n") == 2


def test_fresh_events__the_clock_was_set_back__are_new_all_the_same() -> None:
    later = dataclasses.replace(EVENT, at=0.1, object="Container/db")
    assert event_watch.fresh_events(frozenset({EVENT}), [EVENT, later]) == [later]
    assert event_watch.fresh_events(frozenset({EVENT}), [later]) == [later]


def test_fresh_events__of_the_same_moment__are_new() -> None:
    same_moment = dataclasses.replace(EVENT, object="Container/db")
    assert event_watch.fresh_events(frozenset({EVENT}), [EVENT, same_moment]) == [same_moment]


@pytest.fixture
def _ctrl_c_counts() -> Iterator[None]:
    """Let programs be interrupted also where whoever started the tests ignores that, as ``nohup`` and ``&`` do."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_counts")
@pytest.mark.parametrize("command", [["status"], ["events"]], ids=" ".join)
def test_watch__ctrl_c__ends_quietly(agent: list[str], command: list[str]) -> None:
    words = [sys.executable, "-m", "agent", *agent, *command, "--watch"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("Container/web" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (130, "")


@pytest.mark.usefixtures("_ctrl_c_counts")
def test_watch__an_object_is_declared__is_a_line(agent: list[str]) -> None:
    manifests = pathlib.Path(agent[1]).parent / "manifests"
    words = [sys.executable, "-m", "agent", *agent, "status", "-w", "-o", "name"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("Container/web" in line for line in process.stdout)
        document = json.loads((manifests / "web.json").read_text()) | {"metadata": {"name": "more"}}
        (manifests / "more.json").write_text(json.dumps(document))
        assert any("Container/more" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130

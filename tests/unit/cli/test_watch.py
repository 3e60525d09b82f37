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
    with pytest.raises(KeyboardInterrupt):
        event_watch.watch(asking((EVENT,), (older, EVENT), (older, EVENT, newer), (newer,)), flags.Output.TEXT)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines if line.startswith("1970")] == ["Container/web", "Container/new"]
    assert lines[-2:] == ["    no such", "    image"]


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

"""What TAB offers: names that the running agent knows, or that its journal has; nothing where there is neither."""

import os
import pathlib
import subprocess
import sys

from agent.converge import journal
from agent.model import conditions
from agent.model.key import Kind, ObjectKey


def offered(*words: str) -> list[str]:
    """Return what is offered behind some words, the last of which is being typed."""
    variables = {
        "_TRIMTAB_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("trimtab", *words)),
        "COMP_CWORD": str(len(words)),
    }
    command = [sys.executable, "-m", "agent"]
    completed = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=15, check=True
    )
    assert completed.stderr == ""
    return [line.removeprefix("plain,") for line in completed.stdout.split()]


def test_completion__of_commands() -> None:
    assert offered("sta") == ["status"]


def test_completion__an_agent_runs__offers_its_objects(agent: list[str]) -> None:
    assert offered(*agent, "status", "w") == ["web"]
    assert offered("describe", *agent, "Container/") == ["Container/web"]
    assert offered(*agent, "logs", "") == ["web"]


def test_completion__no_agent__offers_what_its_journal_has(tmp_path: pathlib.Path) -> None:
    key = ObjectKey(Kind.CONTAINER, "db")
    with journal.Journal(tmp_path / "agent.sqlite", lambda _: None) as book:
        book.save_statuses([conditions.ObjectStatus(key, "", (), "running")], [])
    assert offered("--root", str(tmp_path), "exec", "d") == ["db"]


def test_completion__nothing_is_there__offers_nothing(tmp_path: pathlib.Path) -> None:
    assert offered("--root", str(tmp_path), "status", "w") == []
    assert offered("--runtime", "nonsense", "status", "w") == []

"""``top`` and ``wait`` as they are typed."""

import json
from typing import Any

import pytest

from agent import errors, streams
from agent.cli import main
from agent.runtime import processes

LISTED = (
    processes.ContainerProcess(20, 0, 0, 1.234, 4 << 20, "nginx: master"),
    processes.ContainerProcess(30, 20, 33, 0.0, 512, "nginx\x1b[2J"),
)


@pytest.fixture(autouse=True)
def _containers(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = {"web": 3, "db": 137, "lost": None}

    async def top(_: Any, name: str) -> tuple[processes.ContainerProcess, ...]:
        assert name == "web"
        return LISTED

    async def exit_code(_: Any, name: str) -> int | None:
        if name not in codes:
            raise errors.NotFound(f"there is no container {name}")
        return codes[name]

    monkeypatch.setattr(streams, "top", top)
    monkeypatch.setattr(streams, "exit_code", exit_code)


def test_top__is_a_table_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["top", "web"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "PID  PARENT  UID  CPU    MEMORY   COMMAND",
        "20   0       0    1.23s  4.0 MiB  nginx: master",
        "30   20      33   0.00s  512 B    nginx\\x1b[2J",
    ]


def test_top__json__has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["top", "web", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document[0] == {
        "pid": 20, "parent": 0, "uid": 0, "cpuSeconds": 1.234, "rss": 4 << 20, "command": "nginx: master",
    }  # fmt: skip
    assert len(document) == 2


def test_wait__prints_each_code_in_the_order_of_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["wait", "db", "web"]) == 0
    assert capsys.readouterr().out == "137\n3\n"


def test_wait__an_end_that_nobody_saw__is_said_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["wait", "lost", "web"]) == 1
    output = capsys.readouterr()
    assert output.out == "unknown\n3\n"
    assert "nobody saw how lost ended" in output.err
    assert "trimtab describe lost" in output.err


def test_wait__no_such_container__says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["wait", "nobody"]) == 1
    assert "there is no container nobody" in capsys.readouterr().err


def test_wait__a_blank_name__is_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["wait", "web", ""]) == 64
    assert "a name is blank" in capsys.readouterr().err

"""Processes and ends of an engine's containers, by made-up answers."""

import json
from typing import Any

import pytest
from aiohttp import web

from agent import errors
from agent.drivers.docker import processes
from agent.model import secret
from agent.runtime import processes as roles
from tests.unit.drivers.docker import twin
from tests.unit.drivers.docker.test_containers import opened

TITLES = ["PID", "PPID", "UID", "TIME", "RSS", "COMMAND"]
RUNNING = {
    "Id": twin.ID,
    "Name": "/web",
    "State": {"Status": "running", "Running": True, "StartedAt": "2026-01-01T00:00:05.5Z"},
}
INSPECT, TOP, EVENTS = "GET containers/web/json", f"GET containers/{twin.ID}/top", "GET events"


def ended(action: str, code: str = "3") -> bytes:
    """Return an event of the container as engines send it."""
    actor = {"ID": twin.ID, "Attributes": {"exitCode": code} if action == "die" else {}}
    return json.dumps({"Type": "container", "Action": action, "Actor": actor}).encode() + b"\n"


def test_of_table__numbers_in_the_hosts_terms__and_parents_outside_are_none() -> None:
    rows = [
        ["30", "20", "33", "1-02:03:04", "512", "nginx: worker process"],
        ["20", "7", "0", "00:00:01", "4", "nginx"],
    ]
    assert processes.of_table({"Titles": TITLES, "Processes": rows}) == (
        roles.ContainerProcess(20, 0, 0, 1.0, 4096, "nginx"),
        roles.ContainerProcess(30, 20, 33, 93784.0, 512 * 1024, "nginx: worker process"),
    )


@pytest.mark.parametrize(
    "answer",
    [{"Titles": TITLES[:-1], "Processes": [["1"] * 5]}, {"Titles": TITLES, "Processes": [["x"] * 6]}, {}, None],
)
async def test_top__an_answer_that_is_none__is_a_failure_of_the_engine(tmp_path, answer: Any) -> None:
    async with opened(tmp_path, **{INSPECT: RUNNING, TOP: answer}) as (_, runtime):
        with pytest.raises(errors.Unavailable) as caught:
            await runtime.containers.top("web")
    assert caught.value.reason == "EngineFailure"


async def test_top__asks_for_columns_of_its_own(tmp_path) -> None:
    async with opened(tmp_path, **{INSPECT: RUNNING, TOP: {"Titles": TITLES, "Processes": []}}) as (served, runtime):
        assert await runtime.containers.top("web") == ()
    assert (TOP, "ps_args=-ww -eo pid,ppid,uid,time,rss,args") in served.asked


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (ended("exec_die") + ended("die") + ended("die", "4"), 3),
        (ended("kill") + ended("destroy"), errors.NotFound),
        (b"", errors.Unavailable),
        (b"nonsense\n", errors.Unavailable),
    ],
)
async def test_wait__by_events_since_the_run_has_begun(tmp_path, stream: bytes, expected: Any) -> None:
    async with opened(tmp_path, **{INSPECT: RUNNING, EVENTS: web.Response(body=stream)}) as (served, runtime):
        if isinstance(expected, int):
            assert await runtime.containers.wait("web") == expected
        else:
            with pytest.raises(expected):
                await runtime.containers.wait("web")
    asked = dict(served.asked)[EVENTS]
    assert "since=1767225605.500000" in asked
    assert twin.ID in asked


async def test_inspect__a_declaration_that_cannot_be_read__hides_every_value(tmp_path) -> None:
    labels = {"trimtab.dev/config": "{"}
    inspected = {**RUNNING, "Config": {"Env": ["A=1", "B"], "Labels": labels}}
    async with opened(tmp_path, **{INSPECT: inspected}) as (_, runtime):
        document: Any = await runtime.containers.inspect("web")
    assert document["Config"]["Env"] == [f"A={secret.HIDDEN}", f"B={secret.HIDDEN}"]
    assert document["Config"]["Labels"] == labels


async def test_inspect__a_foreign_container__is_as_the_engine_has_it(tmp_path) -> None:
    inspected = {**RUNNING, "Config": {"Env": ["A=1"], "Labels": {}}}
    async with opened(tmp_path, **{INSPECT: inspected}) as (_, runtime):
        assert await runtime.containers.inspect("web") == inspected

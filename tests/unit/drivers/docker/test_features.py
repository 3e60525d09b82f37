"""What an engine's answers say of its machine."""

import pathlib

import pytest
from aiohttp import web

from agent.drivers.docker import features
from agent.kit import machine
from tests.unit.drivers.docker import http_engine


async def test_machine__is_asked_for_once_a_connection(tmp_path: pathlib.Path) -> None:
    sizes = iter([(4, 8 << 30), (2, 1 << 30)])

    async def info(_: web.Request) -> web.StreamResponse:
        cores, memory = next(sizes)
        return web.json_response({"NCPU": cores, "MemTotal": memory})

    async with http_engine.connected(tmp_path / "engine.sock", **{"GET info": info}) as (
        _,
        engine,
    ):
        current = features.EngineFeatures(engine)
        assert await current.machine() == await current.machine() == machine.Machine(4, 8 << 30)
        await current.ask()
        assert await current.machine() == machine.Machine(2, 1 << 30)


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"NCPU": 4}, {"NCPU": 0, "MemTotal": 0}, {"NCPU": "4", "MemTotal": "x"}]
)
def test_machine__engine_does_not_tell__is_none(answer: object) -> None:
    assert features.machine_of(answer) is None

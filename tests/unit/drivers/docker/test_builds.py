"""Builds over an engine: what it is asked for, what it does not get, and what its failures mean."""

import contextlib
import dataclasses
import json
import pathlib
import urllib.parse
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from agent import errors
from agent.dockerfile import builds, ignore, parse
from agent.dockerfile import steps as build_steps
from agent.drivers.docker import driver
from agent.reasons import Reason
from tests.unit.drivers.docker import http_engine

TEXT = b"FROM a\n"
NAME = "localhost/site:latest"
LABELS = (("trimtab.dev/owner", "test1"),)


@contextlib.asynccontextmanager
async def opened(
    folder: pathlib.Path, *messages: Any, status: int = 200
) -> AsyncIterator[tuple[http_engine.HttpEngine, driver.DockerRuntime]]:
    """Open a runtime over an engine that answers a build with these messages."""
    lines = b"".join(json.dumps(message).encode() + b"\r\n" for message in messages)
    answers = {
        "POST build": web.Response(body=lines, status=status),
        f"GET images/{NAME}/json": {"Id": "sha256:1", "Size": 1},
    }
    async with (
        http_engine.serving(folder / "engine.sock", **answers) as served,
        driver.open_runtime(served.where, driver.Instance("test1", folder / "docker.json")) as runtime,
    ):
        yield served, runtime


def request(tmp_path: pathlib.Path, **fields: Any) -> builds.Request:
    context = tmp_path / "app"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_bytes(TEXT)
    plain = builds.Request(
        parse.parse(TEXT).dockerfile, TEXT, builds.Context(context, ignore.Ignore()), file=context / "Dockerfile"
    )
    return dataclasses.replace(plain, **fields)


def asked(served: http_engine.HttpEngine) -> dict[str, str]:
    """Return the parameters of the build."""
    (query,) = [query for called, query in served.asked if called == "POST build"]
    return dict(urllib.parse.parse_qsl(query))


async def test_build__plain__is_by_buildkit_and_its_labels_are_noted(tmp_path: pathlib.Path) -> None:
    events: list[build_steps.Progress] = []
    async with opened(tmp_path, {"stream": "Step 1\n"}, {"aux": "no identity"}) as (served, runtime):
        assert await runtime.builds.build(request(tmp_path), NAME, LABELS, events.append) == "sha256:1"
        assert runtime.images.names.state_file.images() == {NAME: LABELS}
    assert asked(served) == {"version": "2", "t": NAME, "layers": "false", "dockerfile": "Dockerfile"}
    begun, output, ended = events
    assert (begun, output) == (build_steps.StepBegun(1, "the engine builds"), build_steps.StepOutput(1, b"Step 1\n"))
    assert isinstance(ended, build_steps.StepEnded)
    assert ended.error == ""


async def test_build__everything_is_asked_for__is_passed_on(tmp_path: pathlib.Path) -> None:
    everything = request(
        tmp_path,
        target="web",
        platform="linux/arm64",
        build_args=(("A", "1"),),
        labels=(("l", "2"),),
        network="none",
        uses_cache=False,
        pulls=True,
        epoch=7,
    )
    async with opened(tmp_path, {"aux": {"ID": "sha256:2"}}) as (served, runtime):
        assert await runtime.builds.build(everything, "", (), lambda _: None) == "sha256:2"
        assert runtime.images.names.state_file.images() == {}
    parameters = asked(served)
    assert json.loads(parameters.pop("buildargs")) == {"A": "1", "SOURCE_DATE_EPOCH": "7"}
    assert json.loads(parameters.pop("labels")) == {"l": "2"}
    assert parameters == {
        "version": "2",
        "layers": "false",
        "dockerfile": "Dockerfile",
        "target": "web",
        "platform": "linux/arm64",
        "networkmode": "none",
        "nocache": "1",
        "pull": "1",
    }


@pytest.mark.parametrize(
    ("fields", "message", "reason"),
    [
        ({"secrets": {"a": b"1"}}, "builds over docker get no secrets", Reason.UNSUPPORTED),
        ({"ssh": {"default": pathlib.Path("/s")}}, "builds over docker get no ssh agents", Reason.UNSUPPORTED),
        ({"contexts": {"a": "b"}}, "builds over docker get no named contexts", Reason.UNSUPPORTED),
    ],
)
async def test_build__what_an_engine_does_not_get__is_refused_before_it_is_asked(
    tmp_path: pathlib.Path, fields: dict[str, Any], message: str, reason: Reason
) -> None:
    async with opened(tmp_path) as (served, runtime):
        with pytest.raises(errors.InvalidArgument, match=message) as refused:
            await runtime.builds.build(request(tmp_path, **fields), NAME, (), lambda _: None)
    assert (refused.value.reason, "POST build" in served.calls()) == (reason, False)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("words", "kind", "reason"),
    [
        (
            'process "/bin/sh -c false" did not complete successfully: exit code: 1',
            errors.InvalidArgument,
            "BuildFailed",
        ),
        ("stat /x: no such file or directory", errors.InvalidArgument, "BuildFailed"),
        ("write: no space left on device", errors.Unavailable, "DiskFull"),
        ("dial tcp: lookup a.example: no such host", errors.Unavailable, "ImagePullFailed"),
        ("manifest unknown", errors.NotFound, "ImageNotFound"),
    ],
)
@pytest.mark.parametrize("where", ["stream", "status"])
async def test_build__engine_fails__is_the_dockerfiles_fault_or_not(
    tmp_path: pathlib.Path, words: str, kind: type[errors.Failure], reason: str, where: str
) -> None:
    message = {"error": words} if where == "stream" else {"message": words}
    events: list[build_steps.Progress] = []
    async with opened(tmp_path, message, status=200 if where == "stream" else 500) as (_, runtime):
        with pytest.raises(kind, match=words.partition(":")[0].partition('"')[0]) as caught:
            await runtime.builds.build(request(tmp_path), NAME, LABELS, events.append)
        assert runtime.images.names.state_file.images() == {}
    assert caught.value.reason == reason
    assert isinstance(events[-1], build_steps.StepEnded)
    assert events[-1].error == caught.value.message


async def test_build__context_has_gone__not_found(tmp_path: pathlib.Path) -> None:
    gone = request(tmp_path, context=builds.Context(tmp_path / "gone", ignore.Ignore()))
    async with opened(tmp_path) as (served, runtime):
        with pytest.raises(errors.NotFound, match="the context cannot be read: No such file") as caught:
            await runtime.builds.build(gone, NAME, (), lambda _: None)
    assert (caught.value.reason, "POST build" in served.calls()) == (Reason.CONTENT_MISSING, False)

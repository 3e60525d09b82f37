"""Containers over an engine: what is sent, what is undone, and what is noted; by real requests to made-up answers."""

import asyncio
import contextlib
import json
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from agent import errors
from agent.converge import signals
from agent.drivers.docker import driver
from agent.kit import tasks, timestamps
from agent.model import container
from agent.runtime import api
from agent.telemetry import metrics_sink
from tests import builders
from tests.unit.drivers.docker import http_engine, twin

CREATE, INSPECT = "POST containers/create", f"GET containers/{twin.ID}/json"
DELETE = f"DELETE containers/{twin.ID}"
TWO = builders.config(networks=(container.NetworkAttachment("lan"), container.NetworkAttachment("shop")))


def failing(words: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return an answer that is a failure."""

    async def fail(_: web.Request) -> web.StreamResponse:
        return web.json_response({"message": words}, status=500)

    return fail


@contextlib.asynccontextmanager
async def opened(
    folder: pathlib.Path, **answers: Any
) -> AsyncIterator[tuple[http_engine.HttpEngine, driver.DockerRuntime]]:
    """Open a runtime over an engine with these answers."""
    all_answers = {CREATE: {"Id": twin.ID}, DELETE: web.Response(status=204), **answers}
    async with http_engine.serving(folder / "engine.sock", **all_answers) as served:
        instance = driver.Instance("test1", folder / "docker.json")
        async with driver.open_runtime(served.where, instance) as runtime:
            yield served, runtime


async def test_create__in_several_networks__is_created_in_the_first_and_connected_with_the_others(tmp_path) -> None:
    connect = "POST networks/shop/connect"
    async with opened(tmp_path, **{connect: web.Response()}) as (served, runtime):
        assert await runtime.containers.create(TWO, "web", ()) == twin.ID
    assert served.calls() == [CREATE, connect]
    assert list(json.loads(served.bodies[CREATE])["NetworkingConfig"]["EndpointsConfig"]) == ["lan"]
    assert json.loads(served.bodies[connect]) == {"Container": twin.ID, "EndpointConfig": {"Aliases": []}}


async def test_create__that_fails_half_way__removes_what_it_has_made(tmp_path) -> None:
    async with opened(tmp_path, **{"POST networks/shop/connect": failing("it does not want to")}) as (served, runtime):
        with pytest.raises(errors.Unavailable, match="it does not want to"):
            await runtime.containers.create(TWO, "web", ())
    assert served.calls() == [CREATE, "POST networks/shop/connect", DELETE]


async def test_create__cancelled_half_way__removes_what_it_has_made(tmp_path) -> None:
    begun = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        begun.set()
        await asyncio.Event().wait()
        return web.Response()

    async with opened(tmp_path, **{"POST networks/shop/connect": hang}) as (served, runtime):
        creating = asyncio.get_running_loop().create_task(runtime.containers.create(TWO, "web", ()))
        await begun.wait()
        creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating
        assert served.calls()[-1] == DELETE


async def test_create__that_cannot_be_undone__tells_the_first_failure(tmp_path) -> None:
    answers = {"POST networks/shop/connect": failing("it does not want to"), DELETE: failing("nor that")}
    async with opened(tmp_path, **answers) as (_, runtime):
        with pytest.raises(errors.Unavailable, match="it does not want to"):
            await runtime.containers.create(TWO, "web", ())


class Undoing:
    """An engine that neither completes a container nor removes it, until it does; and what is heard of that."""

    def __init__(self, status: str = "created") -> None:
        self.removes = False
        self.answers: dict[str, Any] = {
            "POST networks/shop/connect": failing("it does not want to"),
            DELETE: self.delete,
            INSPECT: {"Id": twin.ID, "Name": "/web", "State": {"Status": status}},
            "GET events": self.events,
        }
        self.heard: list[tuple[str, str]] = []
        self.metrics = metrics_sink.MetricsSink()

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Answer a removal."""
        return web.Response(status=204) if self.removes else await failing("nor that")(request)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Tell of nothing for ever."""
        answer = web.StreamResponse()
        await answer.prepare(request)
        await asyncio.Event().wait()
        return answer

    async def listen(self, runtime: driver.DockerRuntime) -> None:
        """Listen to the runtime as the loop does."""
        async for event in runtime.events.subscribe():
            self.heard.append((event.action.value, event.name))
            self.metrics.take(signals.RuntimeEvent(event))

    async def until_heard(self, action: str) -> None:
        """Wait until something is told of the container."""
        async with asyncio.timeout(15):
            while (action, f"container {twin.ID}") not in self.heard:  # noqa: ASYNC110 - from outside on purpose
                await asyncio.sleep(0.01)


async def test_create__that_cannot_be_undone__is_a_notice_an_event_and_counted_until_it_is(tmp_path) -> None:
    undoing = Undoing()
    async with opened(tmp_path, **undoing.answers) as (served, runtime), tasks.Crew() as crew:
        crew.start(undoing.listen(runtime), name="listener")
        with pytest.raises(errors.Unavailable, match="it does not want to"):
            await runtime.containers.create(TWO, "web", ())
        (notice,) = runtime.notices()
        assert (notice.reason.value, notice.subject) == ("CleanUpFailed", f"container {twin.ID}")
        assert "nor that" in notice.message
        await undoing.until_heard("clean_up_failed")
        assert undoing.metrics.counts["trimtab_clean_up_failures_total"][()] >= 1
        undoing.removes = True
        await undoing.until_heard("cleaned_up")
        assert runtime.notices() == ()
        forced = [query for called, query in served.asked if called == DELETE]
        assert (forced[0], forced[-1]) == ("force=true&v=true", "force=false&v=true")


async def test_create__could_not_be_undone_and_was_completed_by_now__is_left_alone(tmp_path) -> None:
    undoing = Undoing("running")
    async with opened(tmp_path, **undoing.answers) as (served, runtime), tasks.Crew() as crew:
        crew.start(undoing.listen(runtime), name="listener")
        with pytest.raises(errors.Unavailable, match="it does not want to"):
            await runtime.containers.create(TWO, "web", ())
        undoing.removes = True
        await undoing.until_heard("cleaned_up")
        assert served.calls().count(DELETE) == 1


async def test_create__with_no_arguments_at_all__keeps_the_images_entrypoint_and_drops_its_cmd(tmp_path) -> None:
    image_answer = {f"GET images/{builders.IMAGE}/json": {"Config": {"Entrypoint": ["/entry"], "Cmd": ["serve"]}}}
    async with opened(tmp_path, **image_answer) as (served, runtime):
        await runtime.containers.create(builders.config(args=()), "web", ())
    body = json.loads(served.bodies[CREATE])
    assert (body["Entrypoint"], body["Cmd"]) == (["/entry"], [])


async def test_create__with_nothing_to_run__is_refused(tmp_path) -> None:
    image_answer = {f"GET images/{builders.IMAGE}/json": {"Config": {"Entrypoint": None, "Cmd": ["serve"]}}}
    async with opened(tmp_path, **image_answer) as (served, runtime):
        with pytest.raises(errors.InvalidArgument, match="has no entrypoint"):
            await runtime.containers.create(builders.config(args=()), "web", ())
    assert CREATE not in served.calls()


async def test_remove__one_that_runs__has_ended_before_it_is_deleted(tmp_path) -> None:
    inspected = {"Id": twin.ID, "Name": "/web", "State": {"Running": True}}
    kill, wait = f"POST containers/{twin.ID}/kill", f"POST containers/{twin.ID}/wait"
    ended = asyncio.Event()

    async def waited(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        ended.set()
        return web.json_response({"StatusCode": 137})

    async def deleted(_: web.Request) -> web.StreamResponse:
        return web.Response(status=204 if ended.is_set() else 500)

    answers = {
        "GET containers/web/json": inspected,
        INSPECT: inspected,
        kill: web.Response(status=204),
        wait: waited,
        DELETE: deleted,
    }
    async with opened(tmp_path, **answers) as (served, runtime):
        await runtime.containers.remove("web")
    assert served.calls()[:5] == ["GET containers/web/json", kill, wait, INSPECT, DELETE]


async def test_stop__is_noted_on_disk_before_the_container_ends(tmp_path) -> None:
    began = "2026-11-25T03:38:30Z"
    inspected = {"Id": twin.ID, "Name": "/web", "State": {"Running": True, "StartedAt": began}, "Config": {}}
    noted: list[float] = []

    async def killed(_: web.Request) -> web.StreamResponse:
        noted.append(driver.sidecar.StateFile(tmp_path / "docker.json").container(twin.ID).stop_requested_at)
        return web.Response(status=204)

    answers = {
        "GET containers/web/json": inspected,
        f"POST containers/{twin.ID}/kill": killed,
        f"POST containers/{twin.ID}/wait": {"StatusCode": 0},
    }
    async with opened(tmp_path, **answers) as (_, runtime):
        await runtime.containers.stop("web", container.StopConfig("", 1.0))
    assert noted == [timestamps.seconds(began)]


async def test_create__from_a_volume_or_directory_that_is_not_there__makes_neither(tmp_path) -> None:
    async with opened(tmp_path) as (served, runtime):
        mounts = (container.VolumeMount("data", "/data", read_only=False),)
        with pytest.raises(errors.NotFound, match="volume data"):
            await runtime.containers.create(builders.config(mounts=mounts), "web", ())
        missing = (container.BindMount(str(tmp_path / "missing"), "/x", read_only=False),)
        with pytest.raises(errors.Unavailable, match="does not exist on this host") as caught:
            await runtime.containers.create(builders.config(mounts=missing), "web", ())
    assert (caught.value.reason, CREATE in served.calls()) == ("MountSourceMissing", False)


async def test_connect__what_was_given__is_noted_with_its_address(tmp_path) -> None:
    inspected = {"Id": twin.ID, "Name": "/web", "NetworkSettings": {"Networks": {"none": {}}}}
    answers = {
        "GET containers/web/json": inspected,
        "POST networks/none/disconnect": web.Response(),
        "POST networks/shop/connect": web.Response(),
    }
    async with opened(tmp_path, **answers) as (served, runtime):
        await runtime.containers.connect("web", container.NetworkAttachment("shop", ("www",), "10.9.0.5"))
        note = runtime.containers.state_file.container(twin.ID)
    assert served.calls() == list(answers)
    assert (note.aliases, note.addresses) == ((("shop", ("www",)),), (("shop", "10.9.0.5"),))


@pytest.mark.parametrize(
    ("host", "resources", "body"),
    [
        ({"NanoCpus": 500_000_000}, container.Resources(250, None, None, None), {"NanoCpus": 250_000_000}),
        ({"PidsLimit": 5}, container.Resources(None, None, None, None), {"PidsLimit": -1}),
    ],
)
async def test_update__limits__only_what_differs_is_sent(
    tmp_path, host: dict[str, Any], resources: container.Resources, body: dict[str, int]
) -> None:
    update = f"POST containers/{twin.ID}/update"
    answers = {"GET containers/web/json": {"Id": twin.ID, "HostConfig": host}, update: {"Warnings": None}}
    async with opened(tmp_path, **answers) as (served, runtime):
        await runtime.containers.update("web", api.ContainerChange(resources=resources))
    assert json.loads(served.bodies[update]) == body


async def test_update__a_limit_of_memory_lifted__is_refused(tmp_path) -> None:
    answers = {"GET containers/web/json": {"Id": twin.ID, "HostConfig": {"Memory": 64 << 20}}}
    async with opened(tmp_path, **answers) as (_, runtime):
        change = api.ContainerChange(resources=container.Resources(None, None, None, None))
        with pytest.raises(errors.InvalidArgument, match=r"cannot change .* of container web in place"):
            await runtime.containers.update("web", change)


async def test_open__what_a_crash_left_of_archives__is_removed_by_who_may_change_things(tmp_path) -> None:
    leftover = tmp_path / "archives" / "trimtab-archive-x"
    leftover.mkdir(parents=True)
    async with http_engine.serving(tmp_path / "engine.sock") as served:
        looking = driver.Instance("test1", tmp_path / "docker.json", read_only=True)
        async with driver.open_runtime(served.where, looking):
            assert leftover.exists()
        async with driver.open_runtime(served.where, driver.Instance("test1", tmp_path / "docker.json")):
            assert not leftover.exists()

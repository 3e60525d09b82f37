"""Networks and volumes over an engine: what is refused, what is let go of, and what is noted."""

import contextlib
import ipaddress
import itertools
import json
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from agent import errors
from agent.drivers.docker import cleanup, driver, endpoint, subnets
from agent.model import network, volume
from agent.model.key import Kind
from tests import builders
from tests.unit.drivers.docker import http_engine

SHOP: dict[str, Any] = {
    "Name": "shop",
    "Id": "n1",
    "Driver": "bridge",
    "Labels": {},
    "IPAM": {"Config": [{"Subnet": "172.17.42.1/16"}]},
}
BRIDGE = {"Name": "bridge", "Id": "n0", "Driver": "bridge"}
OWNED = builders.labels_for(builders.network_config())


@contextlib.asynccontextmanager
async def opened(
    folder: pathlib.Path, **answers: Any
) -> AsyncIterator[tuple[http_engine.HttpEngine, driver.DockerRuntime]]:
    async with (
        http_engine.serving(folder / "engine.sock", **{"GET networks": [SHOP, BRIDGE], **answers}) as served,
        driver.open_runtime(served.where, driver.Instance("test1", folder / "docker.json")) as runtime,
    ):
        yield served, runtime


async def test_network__whose_range_is_taken__is_refused_in_our_words(tmp_path) -> None:
    config = builders.network_config("lan", subnets=(network.Subnet("172.17.9.0/24", None, None),))
    async with opened(tmp_path) as (served, runtime):
        with pytest.raises(
            errors.Conflict, match=r"172\.17\.9\.0/24 overlaps 172\.17\.42\.1/16 of network shop"
        ) as caught:
            await runtime.networks.create(config, ())
    assert (caught.value.reason, served.calls()) == ("SubnetInUse", ["GET networks"])


@contextlib.asynccontextmanager
async def podman(folder: pathlib.Path, refusals: int) -> AsyncIterator[tuple[list[Any], driver.DockerRuntime]]:
    """Open a runtime over a Podman that refuses some subnets; with the ranges that it is asked for."""
    ranges: list[Any] = []

    async def create(request: web.Request) -> web.StreamResponse:
        ranges.append((await request.json())["IPAM"]["Config"])
        if len(ranges) > refusals:
            return web.json_response({"Id": "n1"})
        message = "subnet 10.89.0.0/20 is already used on the host or by another config"
        return web.json_response({"message": message}, status=500)

    version = {**http_engine.VERSION, "Components": [{"Name": "Podman Engine"}], "Version": "4.3.1"}
    answers = {"GET version": version, "GET networks": [SHOP], "POST networks/create": create}
    async with http_engine.serving(folder / "engine.sock", **answers) as served:
        where = endpoint.Endpoint("podman", served.where.url)
        async with driver.open_runtime(where, driver.Instance("test1", folder / "podman.json")) as runtime:
            yield ranges, runtime


@pytest.mark.parametrize("refusals", [0, 2])
async def test_network__without_a_range_over_podman__gets_one_for_four_thousand(tmp_path, refusals: int) -> None:
    async with podman(tmp_path, refusals) as (ranges, runtime):
        await runtime.networks.create(builders.network_config("lan"), OWNED)
    chosen = [ipaddress.IPv4Network(subnet["Subnet"]) for [subnet] in ranges]
    assert [subnet.prefixlen for subnet in chosen] == [20] * (refusals + 1)
    assert len(set(chosen)) == len(chosen), "none is offered twice"
    assert all(subnet.subnet_of(ipaddress.IPv4Network("10.0.0.0/8")) for subnet in chosen)


async def test_network__podman_refuses_every_range__chooses_one_itself(tmp_path) -> None:
    async with podman(tmp_path, 8) as (ranges, runtime):
        await runtime.networks.create(builders.network_config("lan"), OWNED)
    assert (len(ranges), ranges[-1]) == (9, [])


async def test_network__with_a_range_over_podman__is_made_with_it(tmp_path) -> None:
    config = builders.network_config("lan", subnets=(network.Subnet("10.9.0.0/24", None, None),))
    async with podman(tmp_path, 0) as (ranges, runtime):
        await runtime.networks.create(config, OWNED)
    assert ranges == [[{"Subnet": "10.9.0.0/24"}]]


def test_free__what_networks_have__is_passed_over() -> None:
    first, second = itertools.islice(subnets.free([], "lan"), 2)
    taken = {"IPAM": {"Config": [{"Subnet": str(first), "Gateway": str(first[1])}]}}
    assert next(subnets.free([taken], "lan")) == second
    everything = {"IPAM": {"Config": [{"Subnet": "10.0.0.0/8", "Gateway": "10.0.0.1"}]}}
    assert list(subnets.free([everything], "lan")) == []


async def test_network__that_is_there__is_not_made_again_and_its_new_labels_are_noted(tmp_path) -> None:
    async with opened(tmp_path) as (served, runtime):
        await runtime.networks.create(builders.network_config("shop", labels=(("a", "b"),)), OWNED)
        [observed] = await runtime.networks.list()
    assert (observed.labels, observed.config.labels) == ((("a", "b"), *OWNED), (("a", "b"),))
    assert served.calls() == ["GET networks", "GET networks"]


@pytest.mark.parametrize(("state", "calls"), [("running", 0), ("exited", 1)])
async def test_network__with_containers_in_it__is_in_use_by_those_that_run(tmp_path, state: str, calls: int) -> None:
    inside = {"Id": "c" * 64, "State": state, "NetworkSettings": {"Networks": {"shop": {}}}}
    answers = {
        "GET networks/shop": SHOP,
        "GET containers/json": [inside],
        "POST networks/shop/disconnect": web.Response(),
        "DELETE networks/shop": web.Response(status=204),
    }
    async with opened(tmp_path, **answers) as (served, runtime):
        with contextlib.nullcontext() if calls else pytest.raises(errors.InUse, match="used by container cccccccccccc"):
            await runtime.networks.remove("shop")
    assert served.calls().count("POST networks/shop/disconnect") == calls
    assert served.calls().count("DELETE networks/shop") == calls


@contextlib.asynccontextmanager
async def podman_ending(
    folder: pathlib.Path, states: list[str]
) -> AsyncIterator[tuple[list[str], driver.DockerRuntime]]:
    """Open a runtime over a Podman whose container is in these states, one after another; with what it is asked."""
    inside = {"Id": "c" * 64, "State": "exited", "NetworkSettings": {"Networks": {"shop": {}}}}
    asked: list[str] = []

    async def state(_: web.Request) -> dict[str, Any]:
        asked.append(states[0])
        return {"State": {"Status": states.pop(0) if len(states) > 1 else states[0]}}

    async def disconnect(_: web.Request) -> web.StreamResponse:
        asked.append("disconnected")
        return web.Response()

    version = {**http_engine.VERSION, "Components": [{"Name": "Podman Engine"}], "Version": "5.4.0"}
    answers = {
        "GET version": version,
        "GET networks/shop": SHOP,
        "GET containers/json": [inside],
        f"GET v4.0.0/libpod/containers/{'c' * 64}/json": state,
        "POST networks/shop/disconnect": disconnect,
        "DELETE networks/shop": web.Response(status=204),
    }
    async with http_engine.serving(folder / "engine.sock", **answers) as served:
        where = endpoint.Endpoint("podman", served.where.url)
        async with driver.open_runtime(where, driver.Instance("test1", folder / "podman.json")) as runtime:
            yield asked, runtime


async def test_network__its_container_has_ended_over_podman__waits_until_that_is_cleaned_up(tmp_path) -> None:
    async with podman_ending(tmp_path, ["stopped", "stopped", "exited"]) as (asked, runtime):
        await runtime.networks.remove("shop")
    assert asked == ["stopped", "stopped", "exited", "disconnected"]


async def test_network__its_container_is_never_cleaned_up__is_left_and_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(cleanup, "LONGEST", 0.05)
    async with podman_ending(tmp_path, ["stopped"]) as (asked, runtime):
        with pytest.raises(errors.Unavailable, match="container cccccccccccc has ended, and Podman has not cleaned"):
            await runtime.networks.remove("shop")
    assert "disconnected" not in asked


async def test_network__that_its_engine_has_lost_count_of__says_what_helps(tmp_path) -> None:
    lost = web.json_response({"message": "error while removing network: shop has active endpoints"}, status=403)
    answers = {"GET networks/shop": SHOP, "GET containers/json": [], "DELETE networks/shop": lost}
    async with opened(tmp_path, **answers) as (_, runtime):
        with pytest.raises(errors.InUse, match="has active endpoints") as caught:
            await runtime.networks.remove("shop")
    assert "no container is in it" in caught.value.hint
    assert "restarted" in caught.value.hint


async def test_network__adopted_and_the_engines_own__is_let_go_of_and_stays(tmp_path) -> None:
    async with opened(tmp_path, **{"GET networks/bridge": BRIDGE}) as (served, runtime):
        state_file = runtime.networks.names.state_file
        state_file.note_name(Kind.NETWORK, "bridge", "bridge")
        state_file.note_network("bridge", OWNED)
        assert [network.name for network in await runtime.networks.list()] == ["bridge", "shop"]
        await runtime.networks.remove("bridge")
        assert [network.name for network in await runtime.networks.list()] == ["shop"]
    assert not [called for called in served.calls() if called.startswith("DELETE")]


async def test_volume__its_policy__is_noted_and_not_told_to_the_engine(tmp_path) -> None:
    config = builders.volume_config(policy=volume.DeletionPolicy.DELETE)
    answer = {"Volumes": [{"Name": "data", "Labels": {}}]}
    async with opened(tmp_path, **{"POST volumes/create": {}, "GET volumes": answer}) as (served, runtime):
        assert [volume.config.deletion_policy.value for volume in await runtime.volumes.list()] == ["Retain"]
        await runtime.volumes.create(config, OWNED)
        assert [volume.config for volume in await runtime.volumes.list()] == [config]
    assert "Delete" not in json.dumps(json.loads(served.bodies["POST volumes/create"])["Labels"])


async def test_volume__in_use__is_told_as_that(tmp_path) -> None:
    used = web.json_response({"message": "remove data: volume is in use - [1]"}, status=409)
    async with opened(tmp_path, **{"GET volumes/data": {"Name": "data"}, "DELETE volumes/data": used}) as (_, runtime):
        with pytest.raises(errors.InUse, match="remove the container first"):
            await runtime.volumes.remove("data")

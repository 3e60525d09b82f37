"""Networks and volumes over an engine: what is refused, what is let go of, and what is noted."""

import contextlib
import json
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from agent import errors
from agent.drivers.docker import driver
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

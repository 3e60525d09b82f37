"""A survey of what others have made, and taking it over; by real requests to made-up answers."""

import contextlib
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent import errors
from agent.drivers.docker import adoption, driver
from agent.model.key import Kind, ownership_of
from tests.unit.drivers.docker import answers, http_engine, twin

Json = dict[str, Any]
HASH = "a" * 64
SHOP: Json = {"Name": "my_shop", "Id": "n1", "Driver": "bridge", "Options": {}, "Labels": {}}
BRIDGE: Json = {
    "Name": "bridge",
    "Id": "n0",
    "Driver": "bridge",
    "Options": {"com.docker.network.bridge.default_bridge": "true"},
}


def container(name: str, **more: Any) -> Json:
    """Return an inspected container in Compose's network, by a name."""
    networks = {"my_shop": {"Aliases": ["web"], "IPAMConfig": None}}
    inspected = {**answers.BY_HAND, "Id": f"id-{name}", "Name": f"/{name}", "Mounts": [], **more}
    return {**inspected, "NetworkSettings": {"Networks": networks}} if "NetworkSettings" not in more else inspected


@contextlib.asynccontextmanager
async def engine(
    folder: pathlib.Path, *containers: Json, volumes: tuple[Json, ...] = (), image: Json | None = None, **more: Any
) -> AsyncIterator[tuple[http_engine.HttpEngine, adoption.Adoption]]:
    """Open an engine that has these, in two networks."""
    answers: Json = {
        "GET containers/json": [
            {
                "Id": container["Id"],
                "Names": [container["Name"]],
                "Labels": container["Config"]["Labels"],
                "Mounts": [{"Type": mount["Type"], "Name": mount.get("Name")} for mount in container["Mounts"]],
            }
            for container in containers
        ],
        "GET networks": [SHOP, BRIDGE, {"Name": "wide", "Id": "n2", "Driver": "macvlan"}],
        "GET volumes": {"Volumes": list(volumes)},
        f"GET images/{twin.IMAGE['Id']}/json": twin.IMAGE if image is None else image,
        **{f"GET containers/{container['Id']}/json": container for container in containers},
        **more,
    }
    async with (
        http_engine.serving(folder / "engine.sock", **answers) as served,
        driver.open_runtime(served.where, driver.Instance("test1", folder / "docker.json")) as runtime,
    ):
        yield served, adoption.Adoption(runtime, "test1")


def volume(name: str, **more: Any) -> Json:
    return {"Type": "volume", "Name": name, "Destination": "/data", "Driver": "local", "RW": True, **more}


async def test_survey__names_that_are_none__are_bent_and_never_to_one_that_is_taken(tmp_path) -> None:
    containers = (container("my_web"), container("my-web"), container("My.Web"))
    async with engine(tmp_path, *containers) as (_, taker):
        survey = await taker.survey()
        assert {container.engine_name: container.config.name for container in survey.containers} == {
            "my_web": "my-web-2",
            "my-web": "my-web",
            "My.Web": "my-web-3",
        }
        assert [network.network for network in survey.containers[0].config.networks] == ["my-shop"]
        assert [(noted_by, config.name) for noted_by, config in survey.networks] == [("n1", "my-shop")]


async def test_survey__only_some_are_wanted__the_others_names_are_taken_all_the_same(tmp_path) -> None:
    async with engine(tmp_path, container("my_web"), container("my-web")) as (_, taker):
        survey = await taker.survey(["my_web"])
        assert [(container.engine_name, container.config.name) for container in survey.containers] == [
            ("my_web", "my-web-2")
        ]


async def test_survey__one_that_is_not_there__is_told_with_those_that_are(tmp_path) -> None:
    async with engine(tmp_path, container("web")) as (_, taker):
        with pytest.raises(errors.NotFound, match="there is no container db that is not ours already") as caught:
            await taker.survey(["db"])
        assert "there are web" in str(caught.value)


async def test_survey__volumes__keep_their_data_and_get_names(tmp_path) -> None:
    mounts = [volume("my_data"), volume(HASH, Destination="/more")]
    volumes = ({"Name": "my_data", "Driver": "local"}, {"Name": HASH, "Driver": "local", "Options": None})
    async with engine(tmp_path, container("web", Mounts=mounts), volumes=volumes) as (_, taker):
        survey = await taker.survey()
        assert [(engine_name, config.name) for engine_name, config in survey.volumes] == [
            ("my_data", "my-data"),
            (HASH, "web-data-1"),
        ]
        assert {config.deletion_policy.value for _, config in survey.volumes} == {"Retain"}


@pytest.mark.parametrize(
    ("changes", "more", "reason"),
    [
        ({"NetworkSettings": {"Networks": {"wide": {}}}}, {}, "its network wide is no bridge"),
        ({}, {"GET networks": [{**SHOP, "EnableIPv6": True}, BRIDGE]}, "its network my-shop has IPv6"),
        ({"Mounts": [volume("data")]}, {}, "its volume data is not there"),
        (
            {"Mounts": [volume("data")]},
            {"GET volumes": {"Volumes": [{"Name": "data", "Driver": "local", "Options": {"type": "nfs"}}]}},
            "its volume data has options",
        ),
    ],
)
async def test_survey__what_it_uses_cannot_be_said__is_left_alone(
    tmp_path, changes: Json, more: Json, reason: str
) -> None:
    async with engine(tmp_path, container("web", **changes), **more) as (_, taker):
        survey = await taker.survey()
        assert (survey.containers, survey.skipped) == ((), (adoption.SkippedContainer("web", (reason,)),))
        assert (survey.networks, survey.volumes) == ((), ())


async def test_survey__in_the_engines_own_network__is_taken_over_with_it(tmp_path) -> None:
    containers = container("web", NetworkSettings={"Networks": {"bridge": {"Aliases": None}}})
    async with engine(tmp_path, containers) as (_, taker):
        survey = await taker.survey()
        assert ([config.name for _, config in survey.networks], survey.skipped) == (["bridge"], ())
        assert survey.networks[0][0] == "bridge", "its id is another one after each start of the engine"


async def test_survey__removed_meanwhile__is_not_there(tmp_path) -> None:
    async with engine(tmp_path, container("web"), container("db")) as (served, taker):
        del served.answers["GET containers/id-web/json"]
        survey = await taker.survey()
        assert ([container.engine_name for container in survey.containers], survey.skipped) == (["db"], ())


async def test_survey__its_image_is_gone__is_left_alone(tmp_path) -> None:
    async with engine(tmp_path, container("web")) as (served, taker):
        del served.answers[f"GET images/{twin.IMAGE['Id']}/json"]
        survey = await taker.survey()
        assert [(leftover.name, leftover.reasons) for leftover in survey.skipped] == [
            ("web", ("its image has no name any more",))
        ]


async def test_survey__of_a_compose_project__is_one_group(tmp_path) -> None:
    labels = {"Config": {**answers.BY_HAND["Config"], "Labels": {"com.docker.compose.project": "my_shop"}}}
    async with engine(tmp_path, container("a", **labels), container("b", **labels), container("c")) as (_, taker):
        survey = await taker.survey()
        assert [container.group for container in survey.containers] == ["my-shop", "my-shop", "c"]


async def test_adopt__what_was_found__is_ours_from_then_on_and_by_no_value_of_its_environment(tmp_path) -> None:
    mounts = [volume("data")]
    volumes = ({"Name": "data", "Driver": "local"},)
    pinned = {**twin.IMAGE, "RepoTags": [], "RepoDigests": [f"app@sha256:{HASH}"]}
    secret = {"Config": {**answers.BY_HAND["Config"], "Env": ["PASSWORD=s3cr3t"]}}
    containers = container("my_web", Mounts=mounts, **secret)
    async with engine(tmp_path, containers, volumes=volumes, image=pinned) as (served, taker):
        survey = await taker.survey()
        before = served.calls()
        await taker.adopt(survey)
        assert served.calls() == before, "nothing of it is touched"
        assert await taker.survey() == adoption.Survey((), (), (), ())
        state_file = driver.sidecar.StateFile(tmp_path / "docker.json")
        note = state_file.container("id-my_web")
        assert note.adopted is not None
        assert (note.adopted.name, note.adopted.env) == ("my-web", (("PASSWORD", ""),))
        assert (note.aliases, note.addresses) == ((("my-shop", ("web",)),), (("my-shop", ""),))
        owners = [
            ownership_of(labels) for labels in (note.labels, state_file.network("n1"), state_file.volume("data") or ())
        ]
        assert [(owner.owner, str(owner.key)) for owner in owners if owner is not None] == [
            ("test1", "Container/my-web"),
            ("test1", "Network/my-shop"),
            ("test1", "Volume/data"),
        ]
        assert dict(state_file.images()) == {f"docker.io/library/app@sha256:{HASH}": ()}
        assert state_file.engine_name(Kind.CONTAINER, "my-web") == "my_web"
    assert "s3cr3t" not in (tmp_path / "docker.json").read_text()

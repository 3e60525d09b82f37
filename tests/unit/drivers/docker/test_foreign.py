"""Strangers' containers, as the list tells of them: what they use, so that nobody takes it away from them."""

import dataclasses
from typing import Any

import pytest

from agent.drivers.docker import foreign, names, translate
from agent.model import container
from agent.model.key import Kind
from tests.unit.drivers.docker import twin

SUMMARY: dict[str, Any] = {
    "Id": twin.ID,
    "Names": ["/shop_db_1"],
    "Image": "postgres:16",
    "ImageID": "sha256:1",
    "Created": 1795577912,
    "State": "running",
    "Labels": {"b": "2", "a": "1", translate.CONFIG_LABEL: "of another version"},
    "NetworkSettings": {"Networks": {"shop": {"IPAddress": "10.9.0.2"}, "bridge": {}, "lan": None}},
    "Mounts": [
        {"Type": "volume", "Name": "data", "Destination": "/data", "RW": True},
        {"Type": "volume", "Name": "conf", "Destination": "/conf", "RW": False},
        {"Type": "bind", "Source": "/srv", "Destination": "/srv", "RW": True},
    ],
}


@pytest.fixture
def table(tmp_path) -> names.Names:
    return twin.table(tmp_path)


def test_stranger__what_the_list_tells__is_said(table: names.Names) -> None:
    assert foreign.observed_container(SUMMARY, table) == container.ObservedContainer(
        id=twin.ID,
        name="shop_db_1",
        config=dataclasses.replace(
            foreign.UNDECLARED,
            name="shop_db_1",
            image="docker.io/library/postgres:16",
            networks=(container.NetworkAttachment("lan"), container.NetworkAttachment("shop")),
            mounts=(
                container.VolumeMount("data", "/data", read_only=False),
                container.VolumeMount("conf", "/conf", read_only=True),
            ),
        ),
        labels=(("a", "1"), ("b", "2")),
        image_id="sha256:1",
        state=container.ContainerState.RUNNING,
        pid=None,
        exit_code=None,
        oom_killed=False,
        stop_requested=False,
        created_at=1795577912.0,
        started_at=None,
        finished_at=None,
        addresses=(),
    )


def test_stranger__uses_what_was_adopted__by_the_names_in_manifests(table: names.Names) -> None:
    table.state_file.note_name(Kind.CONTAINER, "shop-db-1", "shop_db_1")
    table.state_file.note_name(Kind.VOLUME, "shop-data", "data")
    table.state_file.note_name(Kind.NETWORK, "shop-net", "shop")
    table.state_file.note_name(Kind.NETWORK, "bridge", "bridge")
    observed = foreign.observed_container(SUMMARY, table)
    assert observed.name == "shop-db-1"
    assert [network.network for network in observed.config.networks] == ["bridge", "lan", "shop-net"]
    assert [mount.volume for mount in observed.config.mounts] == ["shop-data", "conf"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [("running", "running"), ("paused", "running"), ("restarting", "running"), ("created", "exited"), ("", "exited")],
)
def test_stranger__only_whether_it_runs_counts(table: names.Names, state: str, expected: str) -> None:
    assert foreign.observed_container({**SUMMARY, "State": state}, table).state.value == expected


def test_stranger__the_least_that_an_engine_tells__is_enough(table: names.Names) -> None:
    least = {"Id": twin.ID, "Names": None, "Image": "sha256:abc<none>", "NetworkSettings": {"Networks": None}}
    observed = foreign.observed_container(least, table)
    assert (observed.name, observed.config.image, observed.config.networks) == ("", "sha256:abc<none>", ())

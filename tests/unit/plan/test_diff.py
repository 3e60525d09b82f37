"""The tables that say what a change of each field means, and how a difference reads."""

import dataclasses

import pytest

from agent.model import container, network, volume
from agent.plan import diff
from tests import builders


@pytest.mark.parametrize(
    ("table", "config"),
    [
        (diff.CONTAINER, container.ContainerConfig),
        (diff.NETWORK, network.NetworkConfig),
        (diff.VOLUME, volume.VolumeConfig),
    ],
)
def test_table__of_each_kind__has_every_field_of_its_config_and_no_other(
    table: dict[str, diff.Change], config: type
) -> None:
    assert [*table] == [field.name for field in dataclasses.fields(config)]


def test_change__of_each_kind__has_its_word() -> None:
    assert [change.value for change in diff.Change] == ["none", "record", "in place", "replace"]


def test_difference__printed__is_its_sentence() -> None:
    old, new = (
        builders.volume_config(policy=volume.DeletionPolicy.RETAIN),
        builders.volume_config(policy=volume.DeletionPolicy.DELETE),
    )
    (difference,) = diff.of_volume(new, old)
    assert str(difference) == "deletionPolicy: Retain -> Delete"
    assert (difference.field, difference.change) == ("deletion_policy", diff.Change.IN_PLACE)


def test_name__of_what_is_compared__is_what_it_is_found_by_and_no_difference() -> None:
    web = builders.config("web")
    assert diff.of_container(web, dataclasses.replace(web, name="web-12345678-new", ordinal=3), frozenset()) == ()
    assert diff.of_network(builders.network_config("a"), builders.network_config("b")) == ()
    assert diff.of_volume(builders.volume_config("a"), builders.volume_config("b")) == ()

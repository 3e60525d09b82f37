"""Observations as documents and tables."""

import json
import pathlib

import pytest

from agent import app, errors
from agent.cli import observation
from agent.kit import canonical
from agent.model import image, key, network, state, volume

OURS = key.ownership_labels(key.Ownership("abcde", key.ObjectKey(key.Kind.IMAGE, "x"), "hash"))
THEIRS = key.ownership_labels(key.Ownership("other", key.ObjectKey(key.Kind.IMAGE, "x"), "hash"))
SUBNETS = (network.Subnet("10.0.0.0/24", "10.0.0.1", None),)
NETWORK = network.NetworkConfig("net", network.NetworkDriver.BRIDGE, (), SUBNETS, internal=False, dns=True, mtu=None)
VOLUME = volume.VolumeConfig("data", volume.VolumeDriver.LOCAL, (), volume.DeletionPolicy.RETAIN)
SIGHT = app.Sight(
    owner="abcde",
    in_place=frozenset({"labels", "resources"}),
    observed=state.ObservedState(
        observed_at=1000.0,
        images=(
            image.ObservedImage("sha256:1", "a:1", OURS, 3 * 2**20),
            image.ObservedImage("sha256:2", "b:1", THEIRS, 0),
        ),
        networks=(network.ObservedNetwork("1", "net", NETWORK, (), healthy=False),),
        volumes=(volume.ObservedVolume("data", VOLUME, OURS, "/data", 880.0),),
    ),
)


def test_load__a_document__gives_the_same_sight(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "observed.json"
    path.write_bytes(canonical.dumps(observation.document(SIGHT)))
    assert observation.load(path) == SIGHT


def test_load__another_version__is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "observed.json"
    path.write_text(json.dumps(observation.document(SIGHT) | {"version": 2}))
    with pytest.raises(errors.TrimtabError, match="its version is not 1"):
        observation.load(path)


def test_rows__everything__says_whose_it_is() -> None:
    headings, rows = observation.rows(SIGHT, 1000.0)
    assert headings == ("KIND", "NAME", "OWNER", "STATE", "AGE")
    assert rows == [
        ("Image", "a:1", "ours", "3.0 MiB", ""),
        ("Image", "b:1", "other", "0.0 MiB", ""),
        ("Network", "net", "foreign", "10.0.0.0/24, broken", ""),
        ("Volume", "data", "ours", "/data", "2m"),
    ]

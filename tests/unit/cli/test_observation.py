"""Observations as documents and tables."""

import json
import pathlib

import pytest

from agent import app, errors
from agent.cli import observation
from agent.kit import canonical
from agent.model import image, key, network, policy, state, volume

OURS = key.ownership_labels(key.Ownership("abcde", key.ObjectKey(key.Kind.IMAGE, "x"), "hash"))
THEIRS = key.ownership_labels(key.Ownership("other", key.ObjectKey(key.Kind.IMAGE, "x"), "hash"))
SUBNETS = (network.Subnet("10.0.0.0/24", "10.0.0.1", None),)
NETWORK = network.NetworkConfig("net", network.NetworkDriver.BRIDGE, (), SUBNETS, internal=False, dns=True, mtu=None)
VOLUME = volume.VolumeConfig("data", volume.VolumeDriver.LOCAL, (), volume.DeletionPolicy.RETAIN)
SIGHT = app.Sight(
    owner="abcde",
    in_place=frozenset({policy.InPlace.LABELS, policy.InPlace.RESOURCES}),
    observed=state.ObservedState.of(
        1000.0,
        (
            image.ObservedImage("sha256:1", "a:1", OURS, 3 * 2**20),
            image.ObservedImage("sha256:2", "b:1", THEIRS, 0),
            network.ObservedNetwork("1", "net", NETWORK, (), healthy=False),
            volume.ObservedVolume("data", VOLUME, OURS, "/data", 880.0),
        ),
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"owner": None}, "owner: None is not str"),
        ({"in_place": ["wings"]}, "in_place[0]: 'wings' is not InPlace"),
        ({"observed": {}}, "observed: the field 'observed_at' is missing"),
    ],
)
def test_load__no_observation__is_told_with_path_place_and_way_out(
    tmp_path: pathlib.Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "observed.json"
    path.write_text(json.dumps({**json.loads(canonical.dumps(observation.document(SIGHT))), **change}))
    with pytest.raises(errors.TrimtabError) as caught:
        observation.load(path)
    assert str(caught.value) == f"{path} is not an observation: {message} (trimtab observe --json > FILE makes one)"


def test_load__nothing_but_a_version__says_what_is_missing(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "observed.json"
    path.write_text('{"version": 1}')
    with pytest.raises(errors.TrimtabError, match="is not an observation: the field 'owner' is missing"):
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

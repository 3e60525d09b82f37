"""Adoption as a whole: files by group, nothing declared twice, nothing that manifests would be refused for."""

import dataclasses
import pathlib
from typing import Any

import pytest
import yaml

from agent import adoption
from agent.drivers.docker import adoption as survey
from agent.manifests import pipeline
from agent.model import container
from agent.model.key import Kind, ObjectKey
from tests import builders

NET = builders.network_config("shop")
DATA = builders.volume_config("data")


def found(name: str, group: str = "", **fields: Any) -> survey.Found:
    """Give a container that can be taken over."""
    return survey.Found(f"id-{name}", name, group or name, builders.config(name, **fields))


def in_shop(name: str, group: str = "", **fields: Any) -> survey.Found:
    """Give one that uses the network and the volume."""
    used = {
        "networks": (container.NetworkAttachment("shop"),),
        "mounts": (container.VolumeMount("data", "/data", read_only=False),),
    }
    return found(name, group, **{**used, **fields})


def surveyed(
    *containers: survey.Found, networks: Any = (("n1", NET),), volumes: Any = (("data", DATA),)
) -> survey.Survey:
    return survey.Survey(containers, tuple(networks), tuple(volumes), ())


def kinds(texts: dict[str, str]) -> dict[str, list[str]]:
    """Give what each file declares."""
    return {
        name: [f"{one['kind']}/{one['metadata']['name']}" for one in yaml.safe_load_all(text)]
        for name, text in texts.items()
    }


def test_files__a_project_and_others__are_one_each_and_what_they_share_is_written_once() -> None:
    texts = adoption.files(surveyed(in_shop("z"), in_shop("b", "project"), in_shop("a", "project")), frozenset())
    assert kinds(texts) == {
        "project.yaml": ["Network/shop", "Volume/data", "Container/a", "Container/b"],
        "z.yaml": ["Container/z"],
    }


def test_files__what_is_declared_already__is_not_declared_again() -> None:
    declared = frozenset({ObjectKey(Kind.NETWORK, "shop")})
    assert kinds(adoption.files(surveyed(in_shop("a")), declared)) == {"a.yaml": ["Volume/data", "Container/a"]}


def test_files__all_together__mean_just_what_was_found() -> None:
    there = surveyed(
        in_shop("a", "p", env=(("PASSWORD", "s3cr3t"),)), in_shop("b", "p", hostname="other"), in_shop("c")
    )
    texts = adoption.files(there, frozenset())
    parsed = pipeline.parse([pipeline.ManifestFile(name, "/", text.encode()) for name, text in texts.items()])
    assert parsed.problems == ()
    desired = pipeline.lower(parsed, "r1", {})
    assert desired.containers == tuple(one.config for one in there.containers)
    assert (desired.networks, desired.volumes) == ((NET,), (DATA,))


def test_sound__what_manifests_can_say__stays_as_it_is() -> None:
    there = surveyed(in_shop("a"), found("b"))
    assert adoption.sound(there) == there


def test_sound__what_no_manifest_may_say__is_left_alone_with_its_reasons() -> None:
    alias = (container.NetworkAttachment("shop", ("my_db",)),)
    told = adoption.sound(
        surveyed(
            found("fine"),
            found("host", hostname="my_host"),
            in_shop("alias", networks=alias),
            found("slow", stop=container.StopConfig("", -1.0)),
        )
    )
    assert [one.engine_name for one in told.containers] == ["fine"]
    reasons = {one.name: one.reasons for one in told.left}
    assert list(reasons) == ["alias", "host", "slow"]
    assert "spec.networks[0].aliases[0]" in reasons["alias"][0]
    assert "spec.hostname" in reasons["host"][0]
    assert "spec.stop.gracePeriod" in reasons["slow"][0]
    assert (told.networks, told.volumes) == ((), ())


def test_sound__two_claim_one_port__only_one_is_taken_over() -> None:
    ports = (container.PortMapping(8080, 80, container.TransportProtocol.TCP, "0.0.0.0"),)
    network = (container.NetworkAttachment("shop"),)
    told = adoption.sound(
        surveyed(found("a", ports=ports, networks=network), found("b", ports=ports, networks=network))
    )
    assert [one.engine_name for one in told.containers] == ["a"]
    assert told.left == (survey.Left("b", ("host port 8080/tcp is claimed twice",)),)


def test_sound__their_network_cannot_be_said__all_that_are_in_it_are_left_alone() -> None:
    odd = dataclasses.replace(NET, mtu=5)
    told = adoption.sound(surveyed(in_shop("a"), in_shop("b"), found("c"), networks=(("n1", odd),)))
    assert [one.engine_name for one in told.containers] == ["c"]
    assert [one.name for one in told.left] == ["a", "b"]
    assert all("spec.mtu" in reason for one in told.left for reason in one.reasons)
    assert (told.networks, told.volumes) == ((), ())


def test_store__files__are_closed_to_everybody_else_since_they_may_hold_secrets(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "new" / "host"
    assert adoption.store(folder, {"b.yaml": "b", "a.yaml": "a"}) == (f"{folder}/a.yaml", f"{folder}/b.yaml")
    assert {path.name: (path.read_text(), path.stat().st_mode & 0o777) for path in folder.iterdir()} == {
        "a.yaml": ("a", 0o600),
        "b.yaml": ("b", 0o600),
    }


def test_store__one_of_them_is_there__writes_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "b.yaml").write_text("mine")
    with pytest.raises(adoption.CannotAdopt, match=r"b\.yaml is there already"):
        adoption.store(tmp_path, {"a.yaml": "a", "b.yaml": "b"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"b.yaml": "mine"}


def test_store__no_directory_can_be_made__is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(adoption.CannotAdopt, match="cannot be written: Not a directory"):
        adoption.store(tmp_path / "file" / "x", {"a.yaml": "a"})

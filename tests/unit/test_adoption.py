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


def adoptable(name: str, group: str = "", **fields: Any) -> survey.AdoptableContainer:
    """Return a container that can be taken over."""
    return survey.AdoptableContainer(f"id-{name}", name, group or name, builders.config(name, **fields))


def in_shop(name: str, group: str = "", **fields: Any) -> survey.AdoptableContainer:
    """Return a container that uses the network and the volume."""
    used = {
        "networks": (container.NetworkAttachment("shop"),),
        "mounts": (container.VolumeMount("data", "/data", read_only=False),),
    }
    return adoptable(name, group, **{**used, **fields})


def surveyed(
    *containers: survey.AdoptableContainer, networks: Any = (("n1", NET),), volumes: Any = (("data", DATA),)
) -> survey.Survey:
    return survey.Survey(containers, tuple(networks), tuple(volumes), ())


def kinds(texts: dict[str, str]) -> dict[str, list[str]]:
    """Return what each file declares."""
    return {
        name: [f"{document['kind']}/{document['metadata']['name']}" for document in yaml.safe_load_all(text)]
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
    surveyed_engine = surveyed(
        in_shop("a", "p", env=(("PASSWORD", "s3cr3t"),)), in_shop("b", "p", hostname="other"), in_shop("c")
    )
    texts = adoption.files(surveyed_engine, frozenset())
    parsed = pipeline.parse([pipeline.ManifestFile(name, "/", text.encode()) for name, text in texts.items()])
    assert parsed.problems == ()
    desired = pipeline.lower(parsed, "r1", {})
    assert desired.containers == tuple(container.config for container in surveyed_engine.containers)
    assert (desired.networks, desired.volumes) == ((NET,), (DATA,))


def test_sound__what_manifests_can_say__stays_as_it_is() -> None:
    surveyed_engine = surveyed(in_shop("a"), adoptable("b"))
    assert adoption.without_refused(surveyed_engine) == surveyed_engine


def test_sound__what_no_manifest_may_say__is_left_alone_with_its_reasons() -> None:
    alias = (container.NetworkAttachment("shop", ("my_db",)),)
    sound = adoption.without_refused(
        surveyed(
            adoptable("fine"),
            adoptable("host", hostname="my_host"),
            in_shop("alias", networks=alias),
            adoptable("slow", stop=container.StopConfig("", -1.0)),
        )
    )
    assert [container.engine_name for container in sound.containers] == ["fine"]
    reasons = {leftover.name: leftover.reasons for leftover in sound.skipped}
    assert list(reasons) == ["alias", "host", "slow"]
    assert "spec.networks[0].aliases[0]" in reasons["alias"][0]
    assert "spec.hostname" in reasons["host"][0]
    assert "spec.stop.gracePeriod" in reasons["slow"][0]
    assert (sound.networks, sound.volumes) == ((), ())


def test_sound__two_claim_one_port__only_one_is_taken_over() -> None:
    ports = (container.PortMapping(8080, 80, container.TransportProtocol.TCP, "0.0.0.0"),)
    network = (container.NetworkAttachment("shop"),)
    sound = adoption.without_refused(
        surveyed(adoptable("a", ports=ports, networks=network), adoptable("b", ports=ports, networks=network))
    )
    assert [container.engine_name for container in sound.containers] == ["a"]
    assert sound.skipped == (survey.SkippedContainer("b", ("host port 8080/tcp is claimed twice",)),)


def test_sound__their_network_cannot_be_said__all_that_are_in_it_are_left_alone() -> None:
    odd = dataclasses.replace(NET, mtu=5)
    sound = adoption.without_refused(surveyed(in_shop("a"), in_shop("b"), adoptable("c"), networks=(("n1", odd),)))
    assert [container.engine_name for container in sound.containers] == ["c"]
    assert [leftover.name for leftover in sound.skipped] == ["a", "b"]
    assert all("spec.mtu" in reason for leftover in sound.skipped for reason in leftover.reasons)
    assert (sound.networks, sound.volumes) == ((), ())


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


def test_document__a_skipped_container__keeps_the_keys_that_programs_read() -> None:
    skipped = (survey.SkippedContainer("b", ("it has links",)),)
    assert adoption.document(adoption.Adopted(("a.yaml",), ("a",), skipped)) == {
        "files": ("a.yaml",),
        "containers": ("a",),
        "left": skipped,
    }

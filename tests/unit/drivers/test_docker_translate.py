"""The Engine API's spelling of containers, and the way back from what engines make of it."""

import dataclasses
import json
from typing import Any

import hypothesis
import pytest

from agent.drivers.docker import limits, names, notes, references, translate
from agent.engine import errors
from agent.model import container, network, volume
from agent.model.key import DELETION_POLICY_LABEL, pairs
from tests import builders
from tests.unit.drivers import test_native_translate as drawn

ID = "0d800de7a79ed731f5a29c84caced25d11f326ef56f0c5512f96ca302b2a41e4"
OWNED = builders.labels_for(builders.config())


@pytest.fixture
def table(tmp_path) -> names.Names:
    return names.Names(notes.Book(tmp_path / "notes.json"), "test1")


def inspected(body: dict[str, Any], name: str, **more: Any) -> dict[str, Any]:
    """Give what an engine answers about a container made from this body: filled in, and not as it was asked."""
    host = dict(body["HostConfig"])
    host.setdefault("Memory", 0)
    places = {
        network_name: {"Aliases": [*place["Aliases"], ID[:12]], "IPAMConfig": place.get("IPAMConfig"), "IPAddress": ""}
        for network_name, place in body["NetworkingConfig"]["EndpointsConfig"].items()
    }
    return {
        "Id": ID,
        "Name": f"/{name}",
        "Created": "2026-11-25T01:45:26.130412088Z",
        "Image": "sha256:abc",
        "State": {"Status": "created", "Running": False, "Pid": 0, "ExitCode": 0, "StartedAt": "0001-01-01T00:00:00Z"},
        "Config": {
            "Labels": {**body["Labels"], "of.the.image": "yes"},
            "Env": [*body["Env"], "PATH=/bin", "HOSTNAME=x"],
            "WorkingDir": body["WorkingDir"] or "/",
            "StopSignal": body.get("StopSignal", "15"),
        },
        "HostConfig": host,
        "NetworkSettings": {"Networks": places},
        **more,
    }


def seen(config: container.ContainerConfig, table: names.Names, **more: Any) -> container.ObservedContainer:
    found = inspected(translate.container_body(config, OWNED, table), config.name, **more)
    remembered = translate.recalled(found["Config"]["Labels"])
    assert remembered is not None
    return translate.observed_container(remembered, found, notes.ContainerNote(), table)


def meant(config: container.ContainerConfig) -> container.ContainerConfig:
    """Give a drawn config as a manifest can mean it: what an API has no numbers or texts for left out."""
    limits = config.resources
    positive = {field.name: abs(getattr(limits, field.name) or 0) or None for field in dataclasses.fields(limits)}
    return dataclasses.replace(
        config,
        env=tuple((name, value) for name, value in config.env if name and "=" not in name),
        resources=container.Resources(**positive),
        networks=(),
        security=dataclasses.replace(config.security, cap_add=("NET_ADMIN",), cap_drop=("ALL",)),
    )


@hypothesis.given(config=drawn.CONTAINERS)
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_container__every_field_comes_back_from_what_an_engine_makes_of_it(
    table: names.Names, config: container.ContainerConfig
) -> None:
    assert seen(meant(config), table).config == meant(config)


def test_container__values_of_the_environment__are_in_no_label(table: names.Names) -> None:
    body = translate.container_body(builders.config(env=(("TOKEN", "s3cr3t"),)), OWNED, table)
    assert "s3cr3t" not in json.dumps(body["Labels"])
    assert body["Env"] == ["TOKEN=s3cr3t"]


def test_container__in_the_engines_words(table: names.Names) -> None:
    config = builders.config(
        command=("/app",),
        ports=(container.PortMapping(8080, 80, container.TransportProtocol.TCP, "127.0.0.1"),),
        networks=(container.NetworkAttachment("bridge", ("www",), "10.0.0.2"),),
        resources=container.Resources(500, 64 << 20, None, None),
        mounts=(container.TmpfsMount("/scratch", 1 << 20),),
    )
    body = translate.container_body(config, OWNED, table)
    assert (body["Entrypoint"], body["Cmd"], body["Hostname"]) == (["/app"], [], "web")
    assert body["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
    assert body["HostConfig"]["NetworkMode"] == "trimtab-test1-bridge", "an engine's own bridge is not ours"
    place = {"Aliases": ["www"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}}
    assert body["NetworkingConfig"]["EndpointsConfig"] == {"trimtab-test1-bridge": place}
    limits = {name: body["HostConfig"].get(name) for name in ("CpuQuota", "Memory", "MemorySwap", "PidsLimit")}
    assert limits == {"CpuQuota": 50_000, "Memory": 64 << 20, "MemorySwap": 64 << 20, "PidsLimit": -1}
    assert body["HostConfig"]["CapDrop"] == ["ALL"], "engines' own defaults differ"
    assert "NET_RAW" in body["HostConfig"]["CapAdd"]
    assert body["HostConfig"]["RestartPolicy"] == {"Name": "no"}
    tmpfs = {"Type": "tmpfs", "Target": "/scratch", "ReadOnly": False}
    assert body["HostConfig"]["Mounts"] == [{**tmpfs, "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1777}}]


def test_container__unknown_capability__is_refused(table: names.Names) -> None:
    config = builders.config()
    config = dataclasses.replace(config, security=dataclasses.replace(config.security, cap_add=("NOPE",)))
    with pytest.raises(errors.Refused, match="there is no capability NOPE"):
        translate.container_body(config, OWNED, table)


def test_container__runs__has_its_addresses_and_times(table: names.Names) -> None:
    config = builders.config(networks=(container.NetworkAttachment("shop", ("www",)),))
    state = {"Status": "running", "Running": True, "Pid": 7, "ExitCode": 0, "StartedAt": "2026-11-25T01:45:26.5Z"}
    place = {"Aliases": ["www", ID[:12], "web"], "IPAMConfig": None, "IPAddress": "172.18.0.2"}
    found = seen(config, table, State=state, NetworkSettings={"Networks": {"shop": place}})
    assert (found.state, found.pid, found.exit_code) == (container.ContainerState.RUNNING, 7, None)
    assert found.addresses == (("shop", "172.18.0.2"),)
    assert found.config == config
    assert found.started_at == pytest.approx(1795571126.5)
    assert found.finished_at is None


def test_container__limits_and_networks_changed_behind_our_back__are_seen(table: names.Names) -> None:
    config = builders.config(resources=container.Resources(None, 64 << 20, None, None))
    found = inspected(translate.container_body(config, OWNED, table), "web")
    found["HostConfig"]["Memory"] = 32 << 20
    found["NetworkSettings"]["Networks"]["other"] = {"Aliases": None, "IPAddress": ""}
    told = translate.observed_container(config, found, notes.ContainerNote(), table).config
    assert told.resources.memory == 32 << 20
    assert [one.network for one in told.networks] == ["other"]


def test_container__of_another_version_of_ours__is_not_recalled() -> None:
    assert translate.recalled({translate.CONFIG_LABEL: '{"name":"web","nonsense":1}'}) is None
    assert translate.recalled({translate.CONFIG_LABEL: "no JSON"}) is None
    assert translate.recalled({}) is None


def test_resources__as_engines_write_no_limit__are_none() -> None:
    for none in (0, -1, None):
        host = dict.fromkeys(("Memory", "MemoryReservation", "CpuQuota", "PidsLimit", "NanoCpus"), none)
        assert limits.read(host) == container.Resources(None, None, None, None)
    assert limits.read({"NanoCpus": 500_000_000}).cpu_millis == 500


def test_network__comes_back_with_what_the_engine_chose(table: names.Names) -> None:
    config = builders.network_config(internal=True, mtu=1400)
    body = translate.network_body(config, OWNED, table)
    given = {"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}
    six = {"Subnet": "fd00::/64"}
    found = translate.observed_network({**body, "Id": "n1", "IPAM": {"Config": [given, six]}}, (), table)
    assert found.config == dataclasses.replace(config, subnets=(network.Subnet("172.18.0.0/16", "172.18.0.1", None),))
    assert found.labels == OWNED


def test_volume__its_policy__is_never_a_label_that_could_go_stale(table: names.Names) -> None:
    config = builders.volume_config(policy=volume.DeletionPolicy.DELETE)
    body = translate.volume_body(config, OWNED, table)
    assert DELETION_POLICY_LABEL not in body["Labels"]
    found = {"Name": "data", "Labels": body["Labels"], "CreatedAt": "2026-11-25T01:45:26Z"}
    assert translate.observed_volume(found, None, table).config.deletion_policy is volume.DeletionPolicy.RETAIN
    noted = pairs((*OWNED, (DELETION_POLICY_LABEL, "Delete")))
    assert translate.observed_volume(found, noted, table).config == config


def test_images__every_name_once__and_digests_only_where_they_are_the_name() -> None:
    entry = {"Id": "sha256:1", "RepoTags": ["nginx:1.27", "<none>:<none>"], "RepoDigests": [f"nginx@sha256:{'a' * 64}"]}
    assert [one.reference for one in references.observed_images(entry, {})] == ["docker.io/library/nginx:1.27"]
    pinned = f"docker.io/library/nginx@sha256:{'a' * 64}"
    assert [one.reference for one in references.observed_images(entry, {pinned: OWNED})][1:] == [pinned]
    assert [one.reference for one in references.observed_images({**entry, "RepoTags": None}, {})] == [pinned]

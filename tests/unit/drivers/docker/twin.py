"""A small pure twin of an engine: what it answers about a container that was created from a body, and drawn configs.

Engines fill in what nobody has said, mix the image's settings in and add names of their own, each in its own way.
"""

import dataclasses
import json
import pathlib
from typing import Any

from hypothesis import strategies as st

from agent.drivers.docker import names, sidecar, translate
from agent.model import container, network
from agent.model.key import Pairs
from tests.unit.drivers import test_native_translate as drawn

Json = dict[str, Any]
ID = "0d800de7a79ed731f5a29c84caced25d11f326ef56f0c5512f96ca302b2a41e4"
OTHER_ADDRESS = "10.200.0.77"
"""What an engine gives where no address is asked for."""
IMAGE: Json = {
    "Id": "sha256:6faa521ec93f29780e26a6d344e1f2f2f12095b48f8235caa869b050fe049382",
    "RepoTags": ["docker.io/library/app:1"],
    "RepoDigests": [],
    "Config": {
        "Cmd": ["/bin/serve", "--all"],
        "Entrypoint": ["/entry"],
        "Env": ["PATH=/bin", "LANG=C.UTF-8"],
        "WorkingDir": "/srv",
        "User": "app",
        "StopSignal": "SIGQUIT",
        "Labels": {"of.the.image": "yes", "app": "the image's"},
    },
}
FLAVOURS = ("docker-20.10", "docker-28", "podman-4.3")
TIMES = {"created": "0001-01-01T00:00:00Z", "running": "2026-11-25T03:38:30.064189308Z"}


def table(folder: pathlib.Path) -> names.Names:
    """Return the names of an instance that has noted nothing."""
    return names.Names(sidecar.StateFile(folder / "notes.json"), "test1")


def inspected(
    flavour: str, config: container.ContainerConfig, labels: Pairs, naming: names.Names, status: str = "running"
) -> Json:
    """Return what an engine answers about a container created from a config and connected with all networks."""
    body: Json = json.loads(json.dumps(translate.container_body(config, labels, naming)))
    places = dict(body["NetworkingConfig"]["EndpointsConfig"])
    places |= {
        naming.network(attachment.network): translate.endpoint_settings(attachment)
        for attachment in config.networks[1:]
    }
    base = IMAGE["Config"]
    signal = body.get("StopSignal") or base["StopSignal"]
    declared_names = [entry.partition("=")[0] for entry in body["Env"]]
    inherited = [entry for entry in base["Env"] if entry.partition("=")[0] not in declared_names]
    settings = {
        **body,
        "Hostname": body.get("Hostname", "host-of-all"),
        "Env": [*body["Env"], *inherited],
        "Cmd": body.get("Cmd") or (None if body.get("Entrypoint") else base["Cmd"]),
        "Entrypoint": None if body.get("Entrypoint") == [""] else body.get("Entrypoint", base["Entrypoint"]),
        "WorkingDir": body["WorkingDir"] or base["WorkingDir"],
        "User": body["User"] or base["User"],
        "Labels": {**base["Labels"], **body["Labels"]},
        "StopSignal": signal,
    }
    host = {"Memory": 0, "MemoryReservation": 0, "NanoCpus": 0, "CpuQuota": 0, **settings.pop("HostConfig")}
    if flavour.startswith("podman"):
        settings |= {"StopSignal": "3" if signal == "SIGQUIT" else signal, "Entrypoint": body.get("Entrypoint", [])}
        settings["Env"] = [
            *settings["Env"],
            "TERM=xterm",
            "container=podman",
            "HOME=/root",
            f"HOSTNAME={settings['Hostname']}",
        ]
        host |= {
            "NanoCpus": host["CpuQuota"] * 10_000,
            "CapAdd": [],
            "CapDrop": [],
            "Ulimits": [{"Name": "RLIMIT_NPROC"}],
        }
    else:
        host["PidsLimit"] = host["PidsLimit"] if host["PidsLimit"] > 0 else None
    running = status == "running"
    return {
        "Id": ID,
        "Name": f"/{naming.container(config.name)}",
        "Created": "2026-11-25T03:38:29.807534978Z",
        "Image": IMAGE["Id"],
        "State": {"Status": status, "Running": running, "Pid": 7 if running else 0, "StartedAt": TIMES[status]},
        "Config": settings,
        "HostConfig": host,
        "Mounts": [],
        "NetworkSettings": {"Networks": _networks(flavour, places, config, running=running)},
    }


def _networks(flavour: str, places: Json, config: container.ContainerConfig, *, running: bool) -> Json:
    if not places:
        return {} if flavour.startswith("podman") else {"none": {"Aliases": None, "IPAMConfig": None, "IPAddress": ""}}
    attachments = {}
    for name, attachment in places.items():
        fixed = (attachment.get("IPAMConfig") or {}).get("IPv4Address", "")
        aliases = list(attachment["Aliases"])
        match flavour:
            case "docker-20.10":
                more: Json = {"IPAMConfig": attachment.get("IPAMConfig"), "Aliases": [*aliases, ID[:12]]}
            case "docker-28":
                every = [config.name, *aliases, ID[:12]]
                more = {"IPAMConfig": attachment.get("IPAMConfig", {}), "Aliases": aliases or None, "DNSNames": every}
            case _:
                more = {"IPAMConfig": None, "Aliases": [*aliases, ID[:12]]}
        attachments[name] = {**more, "Links": None, "IPAddress": (fixed or OTHER_ADDRESS) if running else ""}
    return attachments


LABEL = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
POSITIVE = st.none() | st.integers(1, 2**50)
RESOURCES = st.builds(
    container.Resources,
    cpu_millis=st.none() | st.integers(1, 1_000_000),
    memory=POSITIVE,
    memory_reservation=POSITIVE,
    pids=POSITIVE,
)
CAPABILITIES = st.lists(st.sampled_from(["ALL", "CHOWN", "NET_ADMIN", "SYS_TIME"]), unique=True).map(sorted).map(tuple)
VARIABLES = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="=\0"), min_size=1, max_size=8),
    st.text(max_size=20),
    max_size=4,
).map(lambda values: tuple(sorted(values.items())))


@st.composite
def attachments(draw: Any, own: str) -> tuple[container.NetworkAttachment, ...]:
    """Return network attachments; an alias may be the container's own name, which engines add by themselves."""
    attached = []
    for number, name in enumerate(sorted(draw(st.sets(LABEL | st.just("bridge"), max_size=3)))):
        aliases = draw(st.sets(LABEL | st.sampled_from([own, ID[:12]]), max_size=3))
        address = draw(st.none() | st.integers(2, 250).map(lambda last, net=number: f"10.9.{net}.{last}"))
        attached.append(container.NetworkAttachment(name, tuple(sorted(aliases)), address))
    return tuple(attached)


@st.composite
def configs(draw: Any) -> container.ContainerConfig:
    """Return containers in which every field varies, as admission would let them pass."""
    some = draw(drawn.CONTAINERS)
    name = draw(LABEL)
    networks = draw(attachments(name))
    mode = container.NetworkMode.NETWORKS if networks else draw(st.sampled_from(container.NetworkMode))
    return dataclasses.replace(
        some,
        name=name,
        hostname=draw(st.just(name) | LABEL),
        network_mode=mode,
        networks=networks,
        env=draw(VARIABLES),
        resources=draw(RESOURCES),
        security=dataclasses.replace(some.security, cap_add=draw(CAPABILITIES), cap_drop=draw(CAPABILITIES)),
    )


SUBNETS = (
    network.Subnet("10.90.0.0/24", None, None),
    network.Subnet("10.90.1.0/24", "10.90.1.9", None),
    network.Subnet("10.90.2.0/24", None, "10.90.2.128/25"),
    network.Subnet("10.90.3.0/24", "10.90.3.1", "10.90.3.128/25"),
)
NETWORKS = st.builds(
    network.NetworkConfig,
    name=LABEL | st.just("bridge"),
    driver=st.just(network.NetworkDriver.BRIDGE),
    labels=drawn.LABELS,
    subnets=st.sets(st.sampled_from(SUBNETS)).map(lambda values: tuple(sorted(values, key=str))),
    internal=st.booleans(),
    dns=st.just(True),
    mtu=st.none() | st.integers(68, 65535),
)


def inspected_network(flavour: str, config: network.NetworkConfig, labels: Pairs, naming: names.Names) -> Json:
    """Return what an engine answers about a network that was created from a config."""
    body: Json = json.loads(json.dumps(translate.network_body(config, labels, naming)))
    asked = body["IPAM"]["Config"] or [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]
    if flavour.startswith("podman"):
        first = {subnet["Subnet"]: subnet["Subnet"].replace(".0/24", ".1") for subnet in asked}
        asked = [
            {"Subnet": subnet["Subnet"], "Gateway": subnet.get("Gateway") or first[subnet["Subnet"]]}
            for subnet in asked
        ]
        mtu = body["Options"].pop("com.docker.network.driver.mtu", None)
        body["Options"] = {} if mtu is None else {"mtu": mtu}
    return {**body, "Id": "c3f022483d1b", "EnableIPv6": False, "IPAM": {"Driver": "default", "Config": asked}}

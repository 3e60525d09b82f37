"""The memory runtime's containers, found without looking through all of them."""

import dataclasses
import ipaddress

import pytest

from agent.drivers.memory import table
from agent.model import container
from tests import builders

PORT = container.PortMapping(80, 80, container.TransportProtocol.TCP, "0.0.0.0")
SUBNET = ipaddress.IPv4Network("10.0.0.0/29")


def running(name: str, address: str = "") -> container.ObservedContainer:
    addresses = (("net", address),) if address else ()
    return builders.observed(builders.config(name, ports=(PORT,)), addresses=addresses)


def test_table__follows_each_change() -> None:
    containers = table.Containers()
    web = running("web", "10.0.0.2")
    containers["1"] = web
    assert containers.named("web") is web
    assert containers.with_port(web.config) is web
    assert containers.is_taken("net", "10.0.0.2")
    assert containers.attached("net") == [web]
    ended = dataclasses.replace(web, name="other", state=container.ContainerState.EXITED)
    containers["1"] = ended
    assert containers.named("web") is None
    assert containers.named("other") is ended
    assert containers.with_port(web.config) is None
    assert (containers.is_taken("net", "10.0.0.2"), containers.attached("net")) == (False, [])
    del containers["1"]
    assert containers.named("other") is None
    with pytest.raises(KeyError):
        del containers["1"]


def test_free_address__is_the_lowest_that_nobody_has() -> None:
    containers = table.Containers()
    for number in range(2, 7):
        address = containers.free_address("net", SUBNET)
        assert address == f"10.0.0.{number}"
        containers[str(number)] = running(f"c{number}", address)
    assert containers.free_address("net", SUBNET) is None
    del containers["5"]
    del containers["3"]
    assert containers.free_address("net", SUBNET) == "10.0.0.3"
    containers["3"] = running("c3", "10.0.0.3")
    assert containers.free_address("net", SUBNET) == "10.0.0.5"
    assert containers.free_address("other", SUBNET) == "10.0.0.2"

"""Bridges and veth pairs: what is read, and how a full bridge is told."""

import ipaddress
import os
from collections.abc import Sequence
from typing import Any

import pytest

from agent import errors
from agent.engine.network import bridge, driver, links, netlink
from agent.engine.spec import network as network_spec
from tests import addressing

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100590A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000590A\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0
"""
SHOP = network_spec.NetworkSpec("shop", (addressing.subnet("10.89.0.0/20", "10.89.0.1"),))
CONNECTION = driver.Connection(
    addressing.endpoint("c1", "web", "shop", "eth0", "10.89.0.2"), network_spec.NetworkRecord(0, "lo", SHOP)
)


class FullBridge(netlink.Netlink):
    """The kernel, where a bridge has all the ports that it can have."""

    def perform(self, messages: Sequence[Any]) -> None:
        """Refuse, as ``br_add_if`` does."""
        raise OSError(54, os.strerror(54), f"netlink: {len(messages)} messages")


def test_gateways__of_a_container__are_its_default_routes() -> None:
    assert links.gateways(ROUTES) == {("eth0", ipaddress.IPv4Address("10.89.0.1"))}


def test_connect__bridge_without_a_free_port__says_the_kernels_limit_and_what_to_do() -> None:
    bridges = bridge.BridgeDriver("abcde")
    with FullBridge() as full, pytest.raises(errors.Unavailable, match="the kernel's limit is 1023") as caught:
        bridges._connect(full, driver.Namespace(0, full), CONNECTION)
    assert caught.value.reason == "NetworkFull"
    assert "several networks" in caught.value.hint


def test_link__of_an_endpoint__is_what_it_was_in_earlier_releases() -> None:
    assert bridge.BridgeDriver("abcde").link(CONNECTION.endpoint) == "vabcde2eaab6ac"

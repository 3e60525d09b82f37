"""What the doctor reads."""

import json

from agent.engine import doctor


def chains(*told: dict[str, object]) -> bytes:
    return json.dumps({"nftables": [{"metainfo": {}}, *({"chain": one} for one in told)]}).encode()


def test_droppers__dockerd_drops_forwarded_packets__is_named() -> None:
    forward = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}
    assert doctor.droppers(chains(forward)) == ["chain FORWARD of table ip filter"]


def test_droppers__others__are_no_concern() -> None:
    accepting = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "accept"}
    incoming = {"family": "inet", "table": "filter", "name": "input", "hook": "input", "policy": "drop"}
    bridged = {"family": "bridge", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}
    regular = {"family": "ip", "table": "filter", "name": "DOCKER"}
    assert doctor.droppers(chains(accepting, incoming, bridged, regular)) == []

"""What the doctor reads."""

import json
import pathlib
import platform

from agent.engine import doctor


def chains(*chain_list: dict[str, object]) -> bytes:
    return json.dumps({"nftables": [{"metainfo": {}}, *({"chain": chain} for chain in chain_list)]}).encode()


def test_droppers__dockerd_drops_forwarded_packets__is_named() -> None:
    forward = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}
    assert doctor.droppers(chains(forward)) == ["chain FORWARD of table ip filter"]


def test_droppers__others__are_no_concern() -> None:
    accepting = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "accept"}
    incoming = {"family": "inet", "table": "filter", "name": "input", "hook": "input", "policy": "drop"}
    bridged = {"family": "bridge", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}
    regular = {"family": "ip", "table": "filter", "name": "DOCKER"}
    assert doctor.droppers(chains(accepting, incoming, bridged, regular)) == []


def test_module_fix__of_a_kernel_with_and_without_the_module__is_true_for_it(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / platform.release()
    folder.mkdir()
    (folder / "modules.dep").write_text("kernel/net/sctp/sctp.ko.xz: kernel/lib/libcrc32c.ko.xz\n")
    assert doctor.module_fix("sctp", "CONFIG_IP_SCTP", tmp_path) == "modprobe sctp"
    missing = "use a kernel with CONFIG_IPVLAN: this one has no module ipvlan to load"
    assert doctor.module_fix("ipvlan", "CONFIG_IPVLAN", tmp_path) == missing
    assert doctor.module_fix("ipvlan", "CONFIG_IPVLAN", tmp_path / "nowhere") == missing

"""Capabilities and devices: Docker's defaults, and what a manifest changes of them."""

import ctypes

import pytest

from agent.engine import errors
from agent.engine.bundle import confinement
from agent.engine.containers import spec
from agent.oci import capabilities

_PR_CAPBSET_READ = 23
DOCKERS = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)


@pytest.mark.parametrize(
    ("add", "drop", "left"),
    [
        ((), (), DOCKERS),
        (("SYS_TIME",), (), (*DOCKERS, "SYS_TIME")),
        (("CHOWN",), (), DOCKERS),
        ((), ("MKNOD", "NET_RAW"), tuple(name for name in DOCKERS if name not in {"MKNOD", "NET_RAW"})),
        ((), ("SYS_ADMIN",), DOCKERS),
        ((), ("ALL",), ()),
        (("NET_BIND_SERVICE",), ("ALL",), ("NET_BIND_SERVICE",)),
        (("ALL",), ("ALL",), ()),
        (("ALL", "CHOWN"), ("ALL",), ("CHOWN",)),
        (("CHOWN",), ("CHOWN",), DOCKERS),
    ],
)
def test_capabilities__are_the_defaults_less_what_is_dropped_with_what_is_added(
    add: tuple[str, ...], drop: tuple[str, ...], left: tuple[str, ...]
) -> None:
    assert confinement.capabilities(spec.Confinement(add, drop)) == left


def test_capabilities__all_added__but_those_that_are_dropped() -> None:
    left = confinement.capabilities(spec.Confinement(("ALL",), ("SYS_ADMIN",)))
    assert set(left) == confinement.to_give() - {"SYS_ADMIN"}
    assert {"CHOWN", "KILL"} <= set(left)


def test_to_give__is_what_this_kernel_has_and_nobody_has_taken_from_us() -> None:
    library = ctypes.CDLL(None)
    numbers = [number for number in range(64) if library.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1]
    assert len(confinement.to_give()) == len(numbers)
    assert ("CHOWN" in confinement.to_give()) == (0 in numbers)
    assert ("SYS_RESOURCE" in confinement.to_give()) == (24 in numbers)
    assert ("SYS_TIME" in confinement.to_give()) == (25 in numbers)
    assert ("CHECKPOINT_RESTORE" in confinement.to_give()) == (40 in numbers)
    assert len(capabilities.BY_NUMBER) == 41


@pytest.mark.parametrize(("add", "drop"), [(("CAP_CHOWN",), ()), ((), ("chown",)), (("FLY", "SWIM"), ())])
def test_capabilities__one_that_does_not_exist__is_refused(add: tuple[str, ...], drop: tuple[str, ...]) -> None:
    with pytest.raises(errors.Refused, match=f"there is no capability {(*add, *drop)[0]}") as caught:
        confinement.capabilities(spec.Confinement(add, drop))
    assert caught.value.reason == "StartFailed"


def test_device_rules__begin_by_forbidding_all_and_open_no_block_device() -> None:
    first, *others = confinement.device_rules()
    assert first == {"allow": False, "access": "rwm"}
    assert [rule["access"] for rule in others if rule["type"] == "b"] == ["m"]
    opened = {(rule["major"], rule.get("minor")) for rule in others if rule["access"] == "rwm"}
    assert opened == {(1, 3), (1, 5), (1, 7), (5, 0), (1, 9), (1, 8), (136, None), (5, 2)}

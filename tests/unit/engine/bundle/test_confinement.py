"""Capabilities and devices: Docker's defaults, and what a manifest changes of them."""

import ctypes

import pytest

from agent import errors
from agent.engine.bundle import confinement
from agent.engine.spec import container as container_spec
from agent.oci import capabilities

_PR_CAPBSET_READ = 23
DOCKERS = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
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
    add: tuple[str, ...], drop: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert confinement.capabilities(container_spec.Confinement(add, drop)) == expected


def test_capabilities__all_added__but_those_that_are_dropped() -> None:
    remaining = confinement.capabilities(container_spec.Confinement(("ALL",), ("SYS_ADMIN",)))
    assert set(remaining) == confinement.bounding() - {"SYS_ADMIN"}
    assert {"CHOWN", "KILL"} <= set(remaining)


def test_bounding__is_what_this_kernel_has_and_nobody_has_taken_from_us() -> None:
    library = ctypes.CDLL(None)
    numbers = [number for number in range(64) if library.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1]
    assert len(confinement.bounding()) == len(numbers)
    assert ("CHOWN" in confinement.bounding()) == (0 in numbers)
    assert ("SYS_RESOURCE" in confinement.bounding()) == (24 in numbers)
    assert ("SYS_TIME" in confinement.bounding()) == (25 in numbers)
    assert ("CHECKPOINT_RESTORE" in confinement.bounding()) == (40 in numbers)
    assert len(capabilities.BY_NUMBER) == 41


@pytest.mark.parametrize(("add", "drop"), [(("CAP_CHOWN",), ()), ((), ("chown",)), (("FLY", "SWIM"), ())])
def test_capabilities__one_that_does_not_exist__is_refused(add: tuple[str, ...], drop: tuple[str, ...]) -> None:
    with pytest.raises(errors.InvalidArgument, match=f"there is no capability {(*add, *drop)[0]}") as caught:
        confinement.capabilities(container_spec.Confinement(add, drop))
    assert caught.value.reason == "StartFailed"


def test_device_rules__begin_by_forbidding_all_and_open_no_block_device() -> None:
    first, *others = confinement.device_rules()
    assert first == {"allow": False, "access": "rwm"}
    assert [rule["access"] for rule in others if rule["type"] == "b"] == ["m"]
    opened = {(rule["major"], rule.get("minor")) for rule in others if rule["access"] == "rwm"}
    assert opened == {(1, 3), (1, 5), (1, 7), (5, 0), (1, 9), (1, 8), (136, None), (5, 2)}


def test_masked_paths__name_the_processors_that_are_throttled(tmp_path, monkeypatch) -> None:
    for name in ("cpu0", "cpu1", "cpu12", "cpufreq"):
        (tmp_path / name / "thermal_throttle").mkdir(parents=True)
    (tmp_path / "cpu2").mkdir()
    monkeypatch.setattr(confinement, "_PROCESSORS", tmp_path)
    paths = confinement.masked_paths.__wrapped__()
    assert {"/proc/interrupts", "/sys/firmware", "/proc/kcore"} <= set(paths)
    names = [path.split("/")[-2] for path in paths if path.endswith("/thermal_throttle")]
    assert names == ["cpu0", "cpu1", "cpu12"]

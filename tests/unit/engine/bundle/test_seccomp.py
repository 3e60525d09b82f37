"""The seccomp profile: which entries hold for a container, and that the compiled filter answers as they say."""

import base64
import json
import os
import pathlib
from typing import Any

import pytest

from agent import errors
from agent.engine.bundle import confinement, seccomp
from agent.engine.bundle import filter as filters
from agent.engine.spec import container as container_spec
from tests.unit.engine.bundle import bpf

READ, CLONE, PTRACE, PERSONALITY, MOUNT, UNSHARE, SETNS = 0, 56, 101, 135, 165, 272, 308
BPF, KEYCTL, UMOUNT2, SETHOSTNAME, CLOCK_SETTIME, SYSLOG, REBOOT, MBIND = 321, 250, 166, 170, 227, 103, 169, 237
CLONE3, PIDFD_GETFD, PIVOT_ROOT, FSOPEN = 435, 438, 155, 430
"""Numbers of x86_64."""

PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": None},
    ],
    "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {}},
        {"name": "close", "action": "SCMP_ACT_ALLOW"},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {
            "names": ["mount"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 1,
            "excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]},
        },
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF", "CAP_PERFMON"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["cacheflush"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["s390x", "amd64"]}},
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ", "note": "x"}],
            "excludes": {"caps": ["CAP_SYS_ADMIN"]},
        },
        {
            "names": ["personality"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}],
        },
    ],
}


def names(capabilities: frozenset[str], machine: str = "x86_64") -> list[tuple[str, str]]:
    """Return (call, action) of what holds."""
    profile = seccomp.translate(PROFILE, capabilities, machine)
    return [
        (name, entry["action"].removeprefix("SCMP_ACT_")) for entry in profile["syscalls"] for name in entry["names"]
    ]


def test_translate__no_capability__is_the_specifications_section() -> None:
    assert seccomp.translate(PROFILE, frozenset(), "x86_64") == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [
            {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["close"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
            {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW"},
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
            },
            {
                "names": ["personality"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}],
            },
        ],
    }


def test_translate__capability_that_opens_a_call__lets_it_and_lifts_what_was_for_others() -> None:
    rules = names(frozenset({"SYS_ADMIN"}))
    assert ("mount", "ALLOW") in rules
    assert ("mount", "ERRNO") not in rules
    assert "clone" not in dict(rules)


def test_translate__included_for_several_capabilities__needs_all() -> None:
    assert "bpf" not in dict(names(frozenset({"BPF"})))
    assert dict(names(frozenset({"BPF", "PERFMON"})))["bpf"] == "ALLOW"


def test_translate__excluded_for_several_capabilities__any_is_enough() -> None:
    assert "mount" not in dict(names(frozenset({"SYS_PTRACE"})))


@pytest.mark.parametrize(
    ("machine", "architectures", "special"),
    [
        ("x86_64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "arch_prctl"),
        ("aarch64", ["SCMP_ARCH_AARCH64"], "cacheflush"),
        ("riscv64", ["SCMP_ARCH_RISCV64"], "cacheflush"),
        ("pdp11", [], "cacheflush"),
    ],
)
def test_translate__another_machine__has_other_calls(machine: str, architectures: list[str], special: str) -> None:
    profile = seccomp.translate(PROFILE, frozenset(), machine)
    assert profile["architectures"] == architectures
    names_allowed = {name for entry in profile["syscalls"] for name in entry["names"]}
    assert names_allowed & {"arch_prctl", "cacheflush"} == {special}


def test_compiled__answers_as_the_section_says() -> None:
    program = filters.compiled(seccomp.translate(PROFILE, frozenset(), "x86_64"))
    assert bpf.answer(program, READ) == bpf.ALLOW
    assert bpf.answer(program, MOUNT) == bpf.ERRNO | 1
    assert bpf.answer(program, PTRACE) == bpf.ERRNO | 38
    assert bpf.answer(program, CLONE, 0x0000FF00) == bpf.ALLOW
    assert bpf.answer(program, CLONE, 0x10000000) == bpf.ERRNO | 38
    assert bpf.answer(program, PERSONALITY, 8) == bpf.ALLOW
    assert bpf.answer(program, PERSONALITY, 9) == bpf.ERRNO | 38
    assert bpf.answer(program, PERSONALITY, 8 | 1 << 40) == bpf.ERRNO | 38
    assert bpf.answer(program, 3, architecture=bpf.I386) == bpf.ALLOW  # i386's own number of read
    assert bpf.answer(program, READ, architecture=0xC00000B7) == bpf.KILL  # what is no architecture of ours


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"defaultAction": "SCMP_ACT_TRACE"}, "SCMP_ACT_TRACE has no filter ahead of time"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "SCMP_ACT_NOTIFY has no filter ahead of time"),
        ({"architectures": ["SCMP_ARCH_PDP11"]}, "does not know SCMP_ARCH_PDP11"),
        ({"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}, "refuses read"),
    ],
)
def test_compiled__what_libseccomp_cannot_do__is_told(change: dict[str, Any], message: str) -> None:
    section = {**seccomp.translate(PROFILE, frozenset(), "x86_64"), **change}
    with pytest.raises(filters.Uncompilable, match=message):
        filters.compiled(section)


def test_compiled__a_call_that_this_libseccomp_does_not_know__is_left_to_the_default() -> None:
    section = seccomp.translate(PROFILE, frozenset(), "x86_64")
    section["syscalls"].append({"names": ["call_of_the_year_2100"], "action": "SCMP_ACT_ALLOW"})
    assert bpf.answer(filters.compiled(section), READ) == bpf.ALLOW


DANGEROUS = {
    *(MOUNT, UMOUNT2, UNSHARE, SETNS, FSOPEN, PIVOT_ROOT, SETHOSTNAME, BPF, KEYCTL, CLOCK_SETTIME),
    *(SYSLOG, REBOOT, MBIND, PIDFD_GETFD),
}


@pytest.mark.parametrize(
    ("capability", "opens"),
    [
        ("", set()),
        ("NET_ADMIN", set()),
        ("SYS_ADMIN", {MOUNT, UMOUNT2, UNSHARE, SETNS, FSOPEN, PIVOT_ROOT, SETHOSTNAME, BPF, KEYCTL}),
        ("SYS_TIME", {CLOCK_SETTIME}),
        ("SYSLOG", {SYSLOG}),
        ("SYS_BOOT", {REBOOT}),
        ("SYS_NICE", {MBIND}),
        ("SYS_PTRACE", {PIDFD_GETFD}),
        ("ALL", DANGEROUS),
    ],
)
def test_distributions_profile__a_capability__opens_what_it_is_for(capability: str, opens: set[int]) -> None:
    program = compiled_for(container_spec.Confinement(cap_add=(capability,) if capability else ()))
    assert {number for number in DANGEROUS if bpf.answer(program, number) == bpf.ALLOW} == opens
    assert {bpf.answer(program, number) for number in DANGEROUS - opens} <= {bpf.ERRNO | 1}
    assert bpf.answer(program, READ) == bpf.ALLOW


def test_distributions_profile__new_namespaces__are_for_admins_and_threads_for_all() -> None:
    ours, admins = (
        compiled_for(container_spec.Confinement()),
        compiled_for(container_spec.Confinement(cap_add=("SYS_ADMIN",))),
    )
    thread = 0x003D0F00  # what pthread_create(3) asks for
    assert bpf.answer(ours, CLONE, thread) == bpf.ALLOW
    for namespace in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert bpf.answer(ours, CLONE, thread | namespace) == bpf.ERRNO | 38
        assert bpf.answer(admins, CLONE, thread | namespace) == bpf.ALLOW
    assert bpf.answer(ours, CLONE3) == bpf.ERRNO | 38
    assert bpf.answer(admins, CLONE3) == bpf.ALLOW


@pytest.mark.parametrize(
    ("default", "refusals"),
    [
        ({"defaultAction": "SCMP_ACT_ERRNO"}, [("clone3", 38)]),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38}, [("mount", 1)]),
        ({"defaultAction": "SCMP_ACT_KILL"}, [("clone3", 38), ("mount", 1)]),
    ],
)
def test_translate__withheld_from_everybody__is_refused_by_the_default_where_that_is_the_same(
    default: dict[str, Any], refusals: list[tuple[str, int]]
) -> None:
    entry = {"names": ["read", "clone", "clone3", "mount"], "action": "SCMP_ACT_ALLOW"}
    profile = seccomp.translate({**default, "syscalls": [entry]}, frozenset(), "x86_64")
    first, clone, *others = profile["syscalls"]
    assert first == {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
    assert clone["args"] == [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    assert [(name, other["errnoRet"]) for other in others for name in other["names"]] == refusals
    assert filters.compiled({**profile, "architectures": ["SCMP_ARCH_X86_64"]})


def compiled_for(requested: container_spec.Confinement) -> bytes:
    """Compile the distribution's profile for a confinement."""
    return filters.compiled(seccomp.filter_for(confinement.capabilities(requested)))


def test_confined__ahead__the_section_beside_the_filter_forbids_everything() -> None:
    confinement_ = seccomp.confined(("CHOWN",), ahead=True)
    assert confinement_.section == {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}
    assert list(confinement_.annotations) == ["run.oci.seccomp_bpf_data"]
    program = base64.b64decode(confinement_.annotations["run.oci.seccomp_bpf_data"], validate=True)
    assert program == filters.compiled(seccomp.filter_for(("CHOWN",)))


def test_confined__not_ahead__the_section_says_it_all() -> None:
    confinement_ = seccomp.confined(("CHOWN",), ahead=False)
    assert confinement_ == seccomp.Confinement(seccomp.filter_for(("CHOWN",)))
    assert confinement_.annotations == {}


def test_confined__profile_that_cannot_be_compiled__is_left_to_the_runtime(tmp_path, monkeypatch) -> None:
    profile = tmp_path / "seccomp.json"
    profile.write_text(json.dumps({**PROFILE, "defaultAction": "SCMP_ACT_TRACE"}))
    monkeypatch.setattr(seccomp, "PROFILE", profile)
    confinement_ = seccomp.confined((), ahead=True)
    assert (confinement_.section["defaultAction"], confinement_.annotations) == ("SCMP_ACT_TRACE", {})


def test_filter__profile_changes__is_read_anew(tmp_path, monkeypatch) -> None:
    profile: pathlib.Path = tmp_path / "seccomp.json"
    monkeypatch.setattr(seccomp, "PROFILE", profile)
    for age, action in ((1, "SCMP_ACT_LOG"), (2, "SCMP_ACT_KILL")):
        profile.write_text(json.dumps({"defaultAction": action}))
        os.utime(profile, (age, age))
        assert seccomp.filter_for(())["defaultAction"] == action


def test_filter__no_profile__is_refused_with_the_fix(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(seccomp, "PROFILE", tmp_path / "missing.json")
    with pytest.raises(errors.InvalidArgument) as caught:
        seccomp.filter_for(())
    assert (caught.value.reason, caught.value.hint) == (
        "NoSeccompProfile",
        "apt-get install golang-github-containers-common",
    )


SOCKET, SOCKETPAIR = 41, 53
AF_UNIX, AF_INET6, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK, AF_XDP, AF_FUTURE = 1, 10, 16, 17, 38, 40, 44, 60


@pytest.mark.parametrize("capabilities", [(), ("ALL",)])
@pytest.mark.parametrize("dropped", [(), ("AUDIT_WRITE",)])
def test_distributions_profile__sockets__are_of_usual_kinds(
    capabilities: tuple[str, ...], dropped: tuple[str, ...]
) -> None:
    program = compiled_for(container_spec.Confinement(capabilities, dropped))
    for domain in (AF_UNIX, AF_INET6, AF_NETLINK, AF_PACKET, AF_XDP):
        assert bpf.answer(program, SOCKET, domain) == bpf.ALLOW, domain
    for domain in (AF_ALG, AF_VSOCK, AF_FUTURE, AF_VSOCK | 1 << 32, -1 & 2**64 - 1):
        assert bpf.answer(program, SOCKET, domain) & bpf.ERRNO, domain
    assert bpf.answer(program, SOCKETPAIR, AF_UNIX) == bpf.ALLOW


def test_translate__a_profile_without_sockets__gets_none() -> None:
    assert "socket" not in dict(names(frozenset()))

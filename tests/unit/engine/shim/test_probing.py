"""Which OCI runtime is taken: what is tried on which host, by running it, and that it is not asked again."""

import json
import pathlib
from collections.abc import Callable

import pytest

from agent import errors
from agent.engine.cgroups import hierarchy
from agent.engine.shim import oci_runtime, probing
from agent.kit import processes

V1 = hierarchy.Hierarchy((("memory", "/sys/fs/cgroup/memory"), ("pids", "/sys/fs/cgroup/pids")), None)
V2 = hierarchy.Hierarchy((), "/sys/fs/cgroup")
HYBRID = hierarchy.Hierarchy(V1.v1, "/sys/fs/cgroup/unified")
VPN = hierarchy.Hierarchy((("net_cls", "/sys/fs/cgroup/net_cls"),), "/sys/fs/cgroup")
ALL = {name: pathlib.Path("/usr/bin", name) for name in ("crun", "runc", "unshare")}
CRUN, RUNC = oci_runtime.Program(ALL["crun"]), oci_runtime.Program(ALL["runc"])
AIDED = oci_runtime.Program(
    ALL["crun"],
    (
        *("/usr/bin/unshare", "--mount", "--propagation", "slave", "/bin/sh", "-c"),
        *('umount --lazy "$0" && exec "$@"', "/sys/fs/cgroup/unified"),
    ),
)
Install = Callable[[dict[str, pathlib.Path]], None]
Fake = Callable[..., pathlib.Path]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that sets which programs are installed on this host."""
    return lambda paths_by_name: monkeypatch.setattr(processes, "which", lambda name, _=(): paths_by_name.get(name))


@pytest.fixture
def fake(tmp_path: pathlib.Path) -> Fake:
    """Make a program that notes how it was called and what container it was to run."""

    def make(name: str, script: str) -> pathlib.Path:
        path = tmp_path / name
        notes = f'echo "$@" >> {tmp_path}/calls; cat "$5/config.json" >> {tmp_path}/configs; echo >> {tmp_path}/configs'
        path.write_text(f"#!/bin/sh\n{notes}\n{script}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def run(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a run directory."""
    path = tmp_path / "run"
    path.mkdir()
    return path


@pytest.mark.parametrize("host", [V1, V2, VPN])
def test_candidates__crun_first_then_runc(install, host: hierarchy.Hierarchy) -> None:
    install(ALL)
    assert list(probing.candidates(host)) == [("crun", CRUN), ("runc", RUNC)]


def test_candidates__hybrid_host__crun_is_also_tried_without_its_v2(install) -> None:
    install(ALL)
    assert list(probing.candidates(HYBRID)) == [("crun", CRUN), ("crun without cgroup v2", AIDED), ("runc", RUNC)]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("crun", [("crun", None), ("runc", RUNC)]),
        ("unshare", [("crun", CRUN), ("runc", RUNC)]),
        ("runc", [("crun", CRUN), ("crun without cgroup v2", AIDED), ("runc", None)]),
    ],
)
def test_candidates__not_installed__is_said(install, missing: str, expected: list[tuple[str, object]]) -> None:
    install({name: path for name, path in ALL.items() if name != missing})
    assert list(probing.candidates(HYBRID)) == expected


async def test_find__the_first_that_runs_a_container__is_taken_and_remembered(install, fake, run, tmp_path) -> None:
    install({"crun": fake("crun", "echo cannot >&2; exit 1"), "runc": fake("runc", "exit 0")})
    program = await probing.find(run, "trimtab-test")
    assert program == oci_runtime.Program(tmp_path / "runc", takes_filter=True)
    assert oci_runtime.remembered(run) == program
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 3  # crun, runc, and runc with a compiled filter
    assert await probing.find(run, "trimtab-test") == program
    assert (tmp_path / "calls").read_text().splitlines() == calls
    assert [path.name for path in run.iterdir()] == ["oci-runtime"]


async def test_find__filter_is_not_in_force__is_not_relied_upon(install, fake, run, tmp_path) -> None:
    install({"crun": fake("crun", f"test $(grep -c . {tmp_path}/configs) = 1")})
    program = await probing.find(run, "trimtab-test")
    assert program == oci_runtime.Program(tmp_path / "crun", takes_filter=False)


async def test_find__trial_of_the_filter__could_run_nothing_without_it(install, fake, run, tmp_path) -> None:
    install({"crun": fake("crun", "exit 0")})
    await probing.find(run, "trimtab-test")
    plain, filtered = (json.loads(text) for text in (tmp_path / "configs").read_text().splitlines() if text)
    assert plain["process"]["args"] == ["/bin/true"]
    assert plain["linux"]["cgroupsPath"] == "/trimtab-test/probe"
    assert filtered["process"]["args"] == ["/bin/grep", "-q", "^Seccomp:.*2", "/proc/self/status"]
    assert filtered["linux"]["seccomp"] == {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}
    assert list(filtered["annotations"]) == ["run.oci.seccomp_bpf_data"]


async def test_find__none_works__says_what_each_said(install, fake, run) -> None:
    install({"crun": fake("crun", "echo no cgroups here >&2; exit 1"), "runc": fake("runc", "exit 7")})
    with pytest.raises(errors.Unavailable) as caught:
        await probing.find(run, "trimtab-test")
    assert caught.value.message.startswith("no OCI runtime works on this host: crun: no cgroups here; ")
    assert caught.value.message.endswith("runc: exit code 7")
    assert (caught.value.reason, list(run.iterdir())) == ("NoOciRuntime", [])


async def test_find__nothing_installed__says_so(install, run) -> None:
    install({})
    with pytest.raises(errors.Unavailable, match="crun: not installed; runc: not installed"):
        await probing.find(run, "trimtab-test")


async def test_find__remembered_program_is_gone__looks_again(install, fake, run, tmp_path) -> None:
    oci_runtime.remember(run, oci_runtime.Program(tmp_path / "removed"))
    install({"runc": fake("runc", "exit 0")})
    assert (await probing.find(run, "trimtab-test")).path == tmp_path / "runc"


@pytest.mark.parametrize("text", ["", "{", '{"path": 5}', "null"])
def test_remembered__memory_that_cannot_be_read__is_none(run, text: str) -> None:
    (run / "oci-runtime").write_text(text)
    assert oci_runtime.remembered(run) is None


def test_remembered__what_was_remembered(run) -> None:
    assert oci_runtime.remembered(run) is None
    oci_runtime.remember(run, AIDED)
    assert oci_runtime.remembered(run) == AIDED


@pytest.mark.root
async def test_find__on_this_host__has_run_a_container_and_leaves_nothing(run) -> None:
    host = hierarchy.of_host()
    program = await probing.find(run, "trimtab-test-probing")
    assert program.path.name in {"crun", "runc"}
    assert program.takes_filter == (program.path.name == "crun")
    assert [path.name for path in run.iterdir()] == ["oci-runtime"]
    assert [root for root in host.roots() if (root / "trimtab-test-probing").exists()] == []

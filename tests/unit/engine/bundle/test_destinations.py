"""Where a mount's path leads in a root file system, and where none may lead."""

import pathlib

import pytest

from agent import errors
from agent.engine.bundle import destinations
from agent.engine.kernel import linux


@pytest.fixture
def rootfs(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a root file system with links of all sorts."""
    root = tmp_path / "rootfs"
    for folder in ("run", "var/lib", "proc", "usr/lib"):
        (root / folder).mkdir(parents=True)
    for link, target in (
        ("var/run", "/run"),
        ("var/lock", "../run/lock"),
        ("var/missing", "/not/there"),
        ("out", "../../../../etc"),
        ("process", "/proc"),
        ("chain", "var/run"),
        ("circle", "circle"),
        ("lib", "usr/lib"),
    ):
        (root / link).symlink_to(target)
    (root / "file").touch()
    return root


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/run/x", "/run/x"),
        ("/var/run", "/run"),
        ("/var/run/", "/run"),
        ("/var/run/x/y", "/run/x/y"),
        ("/var/lock", "/run/lock"),
        ("/var/lock/deep/er", "/run/lock/deep/er"),
        ("/var/missing", "/not/there"),
        ("/var/missing/x", "/not/there/x"),
        ("/out/passwd", "/etc/passwd"),
        ("/chain/x", "/run/x"),
        ("/process", "/proc"),
        ("/process/sys", "/proc/sys"),
        ("/lib/x", "/usr/lib/x"),
        ("/./var//run/./x", "/run/x"),
        ("/new/folder", "/new/folder"),
        ("/new/../proc", "/proc"),
        ("/new/../process/../run/x", "/run/x"),
        ("/new/../../../var/run/x", "/run/x"),
        ("/var/run/../lib", "/usr/lib"),
        ("/file/below", "/file/below"),
        ("/circle/x", "/circle/x"),
        ("/", "/"),
    ],
)
def test_resolve__links__are_followed_inside_of_the_root(rootfs: pathlib.Path, path: str, leads_to: str) -> None:
    assert destinations.resolve(linux.LinuxKernel(), rootfs, path) == leads_to


@pytest.mark.parametrize(
    "path", ["/proc", "/proc/", "/proc/sys", "/proc/cpuinfo/x", "/dev", "/dev/null", "/dev/pts", "/dev/pts/0"]
)
def test_check__what_confines__is_refused(path: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        destinations.check(path)
    assert caught.value.reason == "StartFailed"


@pytest.mark.parametrize(
    "path", ["/", "/procs", "/proc/cpuinfo", "/proc/uptime", "/dev/shm", "/dev/net/tun", "/dev/nullx", "/sys/fs/cgroup"]
)
def test_check__anything_else__is_taken(path: str) -> None:
    assert destinations.check(path) is None

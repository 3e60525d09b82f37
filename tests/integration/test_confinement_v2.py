"""A host whose cgroups are v2 only, made of this one's: a container sees its own cgroup as the root."""

import asyncio
import pathlib
import subprocess
import sys

import pytest

from agent.engine.bundle import confinement, limits
from agent.engine.cgroups import hierarchy
from agent.engine.shim import oci_runtime
from agent.kit import processes
from tests import instances
from tests.integration import native

pytestmark = pytest.mark.root

V2_ONLY = (
    "while umount --lazy --recursive /sys 2> /dev/null; do :; done; mount -t sysfs sysfs /sys && "
    'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
)
SHOWS = "busybox tail -n 1 /proc/self/cgroup; ls /sys/fs/cgroup | grep trimtab; busybox mkdir /sys/fs/cgroup/x"


@pytest.mark.parametrize("name", ["crun", "runc"])
def test_cgroup_namespace__where_there_is_v2_only__shows_nothing_of_the_host(tmp_path, name: str) -> None:
    words = [sys.executable, "-m", "tests.integration.test_confinement_v2", str(tmp_path), name]
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", V2_ONLY, "sh", *words]
    completed = subprocess.run(command, cwd=instances.REPOSITORY, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.splitlines() == [
        "v2",
        "0::/",
        "mkdir: can't create directory '/sys/fs/cgroup/x': Read-only file system",
        "",
        "0::/",
        "",
    ]


async def _shown(folder: pathlib.Path, name: str) -> None:
    """Run a container and a command in it. Without limits: this host's controllers may be v1's."""
    print(hierarchy.of_host().mode)  # noqa: T201 - read by the test above
    program = processes.which(name)
    assert program is not None
    async with native.opened(folder, oci_runtime.Program(program)) as host:
        print((await host.run(SHOWS)).output)  # noqa: T201
        identity = await host.started("sleep 1000")
        shown = (await host.exec(identity, "busybox", "tail", "-n", "1", "/proc/self/cgroup"))[0]
        print(shown)  # noqa: T201


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "resources", lambda *_: {})
        patch.setattr(confinement, "device_rules", list)
        asyncio.run(_shown(pathlib.Path(sys.argv[1]), sys.argv[2]))

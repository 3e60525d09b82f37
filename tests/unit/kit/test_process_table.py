"""Processes are shown as ``ps`` shows them."""

import os
import pathlib
import subprocess
import sys

import pytest

from agent.kit import process_table

HIDDEN = """
import os
from agent.engine.kernel import api, linux
from agent.kit import process_table

kernel = linux.LinuxKernel()
kernel.unshare(api.CLONE_NEWNS)
kernel.mount("none", "/", "", api.MS_REC | api.MS_PRIVATE, "")
kernel.mount("proc", "/proc", "proc", 0, "hidepid=1")
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print(process_table.read([1]), list(process_table.in_cgroups({"no such cgroup"})))
"""


def test_read__of_this_host__is_what_ps_shows() -> None:
    columns = "pid,ppid,uid,rss,args"
    shown = subprocess.run(
        ["ps", "-ww", "-o", columns, "--no-headers", "-p", str(os.getpid())], capture_output=True, text=True, check=True
    )
    pid, parent, uid, _, command = shown.stdout.split(maxsplit=4)
    (process,) = process_table.read([os.getpid()])
    assert (process.pid, process.parent, process.uid) == (int(pid), int(parent), int(uid))
    assert command.strip().startswith(process.command[:100])
    assert process.rss > 1024 * 1024
    assert 0 < process.cpu_seconds <= sum(os.times()[:2]) + 0.1


def test_read__ended_and_absent_ones__are_shown_by_name_or_left_out() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    (zombie,) = process_table.read([process.pid])
    assert (zombie.command, zombie.rss, zombie.parent) == ("[true]", 0, os.getpid())
    process.wait()
    assert process_table.read([process.pid]) == ()


def test_read__a_long_command_line__is_cut() -> None:
    process = subprocess.Popen(["sleep", "60", *["0" * 1000] * 10])
    try:
        while not (pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()).startswith(b"sleep"):
            pass
        (shown,) = process_table.read([process.pid])
    finally:
        process.kill()
        process.wait()
    assert shown.command.startswith("sleep 60 000")
    assert len(shown.command) == 4096


def test_in_cgroups__by_the_name_of_a_part_of_their_path__and_of_no_other() -> None:
    path = pathlib.Path("/proc/self/cgroup").read_text().splitlines()[0].split(":", 2)[2]
    assert list(process_table.in_cgroups({"no such cgroup"})) == []
    if path == "/":
        return
    assert os.getpid() in set(process_table.in_cgroups({path.rpartition("/")[2]}))


@pytest.mark.root
def test_processes__that_somebody_else_may_not_see__are_passed_over() -> None:
    shown = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=False)
    assert (shown.stdout, shown.stderr) == ("() []\n", "")

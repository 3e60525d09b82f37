"""An instance seen from outside: what kernel and disk know of it, found without any of its records; and its reboot."""

import contextlib
import dataclasses
import os
import pathlib
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping

from agent.engine import layout

REPOSITORY = pathlib.Path(__file__).parents[1]
_OF_ROOT = frozenset(
    {
        *("lock", "instance.json", "secrets.key", "agent.sqlite", "agent.sqlite-shm", "agent.sqlite-wal"),
        *("engine.redo", "engine.sqlite", "engine.sqlite-shm", "engine.sqlite-wal"),
        *("content", "content/oci-layout", "content/index.json", "content/ingest", "content/leases"),
        *("content/blobs", "content/blobs/sha256", "content/blobs/sha512"),
        *("build-caches", "containers", "snapshots", "volumes"),
    }
)
"""What an instance that has nothing has in its root."""
_OF_RUN = frozenset(
    {
        *("instance.json", "bundles", "dns", "dns-internal", "engine.redo", "epoch", "forwarding", "netns"),
        *("oci-runtime", "runtime", "trimtab.sock"),
    }
)
"""And in its run directory."""
ALL_FILES = _OF_ROOT | _OF_RUN
_DEATH = 10.0
"""Seconds that killed processes may take to be gone."""


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """A root, a run directory and a source of its own, all in one directory."""

    home: pathlib.Path

    @property
    def where(self) -> layout.Layout:
        """Its paths and its name."""
        return layout.of(self.home / "root", self.home / "run")

    @property
    def source(self) -> pathlib.Path:
        """The directory with its manifests."""
        return self.home / "source"

    def declare(self, text: str) -> None:
        """Replace the manifests, as editors do: never half of them."""
        self.source.mkdir(exist_ok=True)
        temporary = self.source / "all.new"
        temporary.write_text(text)
        temporary.rename(self.source / "all.yaml")

    def run(self, *words: str, failpoints: str = "") -> "subprocess.CompletedProcess[str]":
        """Run the command on the source."""
        return subprocess.run(
            [*self.command(*words), str(self.source)],
            capture_output=True,
            text=True,
            check=False,
            env=environment(failpoints),
            timeout=60,
        )

    def command(self, *words: str) -> list[str]:
        """Return the argument list of a command over this instance."""
        flags = ["--root", str(self.where.root), "--run-dir", str(self.where.run)]
        return [sys.executable, "-m", "agent", *flags, *words]

    def mounts(self) -> list[str]:
        """Return the instance's mount points, the innermost first."""
        lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in reversed(lines) if f" {self.home}/" in line]

    def links(self) -> list[str]:
        """Return the instance's network interfaces on the host: bridges, and the outer ends of veth pairs."""
        prefixes = (f"tt{self.where.instance}-", f"v{self.where.instance}")
        return sorted(link.name for link in pathlib.Path("/sys/class/net").iterdir() if link.name.startswith(prefixes))

    def tables(self) -> list[str]:
        """Return the instance's firewall tables, as family and name."""
        listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        names = [line.removeprefix("table ") for line in listed.splitlines()]
        return [name for name in names if name.endswith(f" trimtab-{self.where.instance}")]

    def cgroups(self) -> list[pathlib.Path]:
        """Return the instance's cgroups in all hierarchies, the innermost first."""
        tops = [mount / self.where.cgroup for mount in _hierarchies()]
        cgroups = {
            pathlib.Path(path) for top in tops for path, _, _ in os.walk(top)
        }  # those that vanish are passed over
        return sorted(cgroups, key=lambda path: len(path.parts), reverse=True)

    def processes(self) -> Mapping[int, str]:
        """Return the instance's processes: monitors and servers by their command lines, all others by their cgroups."""
        where = {pid: words for pid, words in _command_lines() if f"{self.home}/" in words}
        for cgroup in self.cgroups():
            with contextlib.suppress(OSError):
                for pid in (cgroup / "cgroup.procs").read_text().split():
                    where.setdefault(int(pid), f"in {cgroup}")
        return where

    def recorded(self) -> list[str]:
        """Name tables of its records that have rows: held addresses and ports, known images, containers, volumes."""
        if not self.where.records.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{self.where.records}?mode=ro", uri=True)) as records:
            tables = [
                row[0]
                for row in records.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name != 'changes'")
            ]
            assert {"endpoints", "publications"} <= set(tables), "leases are there"
            rows = {name: records.execute(f"SELECT * FROM {name}").fetchall() for name in tables}  # noqa: S608 - ours
        return [f"{name} {rows_kept}" for name, rows_kept in rows.items() if rows_kept]

    def files(self) -> list[str]:
        """Return what exists only while something is declared, runs, or is being written."""
        trees = ((self.where.root, _OF_ROOT), (self.where.run, _OF_RUN))
        entries = [(path, str(path.relative_to(top)), stays) for top, stays in trees for path in top.rglob("*")]
        entries = [entries for entries in entries if not entries[1].startswith("reserve")]
        return sorted(str(path) for path, name, stays in entries if name not in stays)

    def left_on_the_host(self) -> list[str]:
        """Name everything of this instance that is still there; a deleted one has nothing."""
        return [
            *(f"mount {path}" for path in self.mounts()),
            *(f"link {name}" for name in self.links()),
            *(f"firewall table {name}" for name in self.tables()),
            *(f"cgroup {path}" for path in self.cgroups()),
            *(f"process {pid} {words}" for pid, words in self.processes().items()),
            *(f"record in {rows}" for rows in self.recorded()),
            *(f"file {path}" for path in self.files()),
        ]

    def reboot(self) -> None:
        """Take away all that a reboot takes away: processes, mounts, network, cgroups and the run directory.

        The agent must not run. What is on disk stays as it is.
        """
        kill(*self.processes())
        for path in self.mounts():
            subprocess.run(["umount", path], check=True)
        for name in self.links():
            subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)  # gone with its peer
        for table in self.tables():
            subprocess.run(["nft", "delete", "table", *table.split()], check=True)
        for cgroup in self.cgroups():
            with contextlib.suppress(FileNotFoundError):  # its monitor has removed it meanwhile, or it is mounted twice
                cgroup.rmdir()
        shutil.rmtree(self.where.run)
        assert (self.mounts(), self.links(), self.tables(), self.cgroups(), self.processes()) == ([], [], [], [], {})


def environment(failpoints: str = "") -> dict[str, str]:
    """Return an environment in which only flags choose an instance."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRIMTAB_")}
    kept |= {"PYTHONPATH": str(REPOSITORY), "TRIMTAB_CONFIG": os.devnull}
    return kept | ({"TRIMTAB_FAILPOINTS": failpoints} if failpoints else {})


def kill(*pids: int) -> None:
    """Kill processes, and wait until they have ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                ended, _, _ = select.select([descriptor], [], [], _DEATH)
                assert ended, f"process {pid} does not die"
            finally:
                os.close(descriptor)


def _hierarchies() -> set[pathlib.Path]:
    """Return where cgroups are, of either version."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return {pathlib.Path(line.split()[4]) for line in lines if " - cgroup" in line}


def _command_lines() -> Iterator[tuple[int, str]]:
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield int(path.parent.name), path.read_bytes().replace(b"\0", b" ").decode(errors="replace")

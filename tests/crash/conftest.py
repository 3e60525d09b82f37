"""An instance that is driven by the command, killed where a failpoint says, and looked at from outside afterwards."""

import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from agent.engine import layout

ROOT = pathlib.Path(__file__).parents[2]
CGROUPS = pathlib.Path("/sys/fs/cgroup")


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """A root, a run directory and a source of its own."""

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
        """Replace the manifests."""
        self.source.mkdir(exist_ok=True)
        (self.source / "all.yaml").write_text(text)

    def run(self, *words: str, failpoints: str = "") -> "subprocess.CompletedProcess[str]":
        """Run the command on the source."""
        command = [sys.executable, "-m", "agent", "--root", str(self.where.root), "--run-dir", str(self.where.run)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop("TRIMTAB_FAILPOINTS", None)
        if failpoints:
            environment["TRIMTAB_FAILPOINTS"] = failpoints
        return subprocess.run(
            [*command, *words, str(self.source)],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=60,
        )

    def left_on_the_host(self) -> list[str]:
        """Name everything of this instance that kernel or disk still know, found without any of our records."""
        name, run = self.where.instance, str(self.where.run)
        found = [f"mount {line.split()[4]}" for line in _lines("/proc/self/mountinfo") if f" {run}/" in line]
        found += [f"link {link.name}" for link in pathlib.Path("/sys/class/net").iterdir() if _ours(link.name, name)]
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        found += [line for line in tables.splitlines() if f"trimtab-{name}" in line]
        found += [
            f"cgroup {path}" for path in pathlib.Path("/sys/fs/cgroup").glob(f"**/trimtab-{name}") if path.is_dir()
        ]
        found += [f"process {pid}" for pid in _processes(run)]
        for folder in ("bundles", "netns", "runtime"):
            found += [str(path) for path in (self.where.run / folder).glob("*")]
        for folder in ("containers", "snapshots", "content/ingest", "content/blobs/sha256", "volumes"):
            found += [str(path) for path in (self.where.root / folder).glob("*")]
        found += [str(path) for path in self.where.root.rglob(".trimtab-tmp-*")]
        return found


def _ours(link: str, instance: str) -> bool:
    return link.startswith((f"tt{instance}-", f"v{instance}"))


def _lines(path: str) -> list[str]:
    return pathlib.Path(path).read_text().splitlines()


def _processes(run: str) -> Iterator[int]:
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if run in path.read_bytes().decode(errors="replace"):
                yield int(path.parent.name)
        except (FileNotFoundError, ProcessLookupError):
            continue


@pytest.fixture
def instance(tmp_path: pathlib.Path) -> Iterator[Instance]:
    """An instance; whatever a test leaves of it is removed and then must be gone."""
    made = Instance(tmp_path)
    made.source.mkdir()
    yield made
    if made.where.records.exists():
        if not (made.source / "all.yaml").exists():
            made.declare("")
        completed = made.run("delete")
        assert completed.returncode == 0, completed.stderr
    assert made.left_on_the_host() == []

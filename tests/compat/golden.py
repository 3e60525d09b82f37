"""Golden data of earlier releases: their code, and the state that it left behind. ``make_golden.py`` has made both.

A root's path is part of what an instance is called, so its state is put back where it was made: ``HOME``. Only one
process of this host may have it there at a time.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from typing import Any

from tests import instances
from tests.e2e import command

FOLDER = pathlib.Path(__file__).parent / "golden"
RELEASES = tuple(sorted(path.name for path in FOLDER.iterdir()) if FOLDER.is_dir() else ())
"""By the commit that they were made of."""
HOME = pathlib.Path("/tmp/trimtab-golden")
"""Where golden state was made."""
ARCHIVE = HOME.with_name("trimtab-golden-images") / "tiny.tar"
"""An image that golden containers are made of. What it is called by (size, time, inode) is part of the image."""
ARCHIVE_TIME = 1_700_000_000
REGISTRY_PORT = 5931
PUBLISHED_PORT = 21931


def code(release: str, folder: pathlib.Path) -> pathlib.Path:
    """Unpack a release's code, and return the folder to run it in."""
    with tarfile.open(FOLDER / release / "agent.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def environment(home: pathlib.Path, runtime: str) -> dict[str, str]:
    """Return an environment in which a command has its root and its run directory in ``home``."""
    return instances.environment() | {
        "PYTHONPATH": "",
        "PYTHONPYCACHEPREFIX": str(instances.REPOSITORY / "build" / "pycache"),
        "TRIMTAB_ROOT": str(home / "root"),
        "TRIMTAB_RUN_DIR": str(home / "run"),
        "TRIMTAB_RUNTIME": runtime,
    }


def expected(release: str, runtime: str) -> dict[str, Any]:
    """Return what a release said of its state before it was packed."""
    document: dict[str, Any] = json.loads((FOLDER / release / f"{runtime}.json").read_text())
    return document


@contextlib.contextmanager
def home_of_golden_state(image: bytes) -> Iterator[pathlib.Path]:
    """Hold ``HOME`` for as long as the context lasts: empty, but for the image's archive with its stamp."""
    with (HOME.parent / f"{HOME.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(HOME, ignore_errors=True)
        HOME.mkdir()
        ARCHIVE.parent.mkdir(exist_ok=True)
        # The first file of a new tmpfs has the same inode number each time.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", ARCHIVE.parent], check=True)
        try:
            ARCHIVE.write_bytes(image)
            os.utime(ARCHIVE, (ARCHIVE_TIME, ARCHIVE_TIME))
            yield HOME
        finally:
            subprocess.run(["umount", ARCHIVE.parent], check=True)
            ARCHIVE.parent.rmdir()
            shutil.rmtree(HOME)


@contextlib.contextmanager
def restored(release: str, runtime: str) -> Iterator[command.Trimtab]:
    """Put a golden state where it was made, and return this checkout's command over it; it is taken away at the end."""
    with home_of_golden_state((FOLDER / release / "tiny.tar").read_bytes()) as home:
        archive = FOLDER / release / f"{runtime}.tar.gz"
        subprocess.run(["tar", "-xzp", *_KEPT, "-f", archive, "-C", home], check=True)
        trimtab = command.Trimtab(home, environment(home, runtime))
        try:
            yield trimtab
        finally:
            if trimtab.instance.processes() or trimtab.instance.where.run.exists():
                trimtab.instance.reboot()


def pack(home: pathlib.Path, target: pathlib.Path) -> None:
    """Pack the root and the source of an instance that does not run."""
    names = [name for name in ("root", "source") if (home / name).exists()]
    subprocess.run(["tar", "-czp", *_KEPT, "-f", target, "-C", home, *names], check=True)


def journal(home: pathlib.Path) -> dict[str, list[list[Any]]]:
    """Return all rows of the journal's tables of what has been."""
    sql = {
        "revisions": "SELECT revision, source, read_at, problems FROM revisions ORDER BY read_at",
        "plans": "SELECT id, at, revision FROM plans ORDER BY id",
        "outcomes": "SELECT plan, key, action, reason, result, at FROM outcomes ORDER BY rowid",
    }
    with contextlib.closing(sqlite3.connect(f"file:{home}/root/agent.sqlite?mode=ro", uri=True)) as records:
        return {table: [list(row) for row in records.execute(select)] for table, select in sql.items()}


def assert_same(now: Any, before: Any, path: str = "") -> None:
    """Assert that all that an earlier release said is so; a later one may only say more of the same objects."""
    if isinstance(before, dict):
        assert set(before) <= set(now), path
        for key, value in before.items():
            assert_same(now[key], value, f"{path}/{key}")
    elif isinstance(before, list):
        assert len(now) == len(before), path
        for number, (value, other) in enumerate(zip(now, before, strict=True)):
            assert_same(value, other, f"{path}/{number}")
    else:
        assert now == before, path


_KEPT = ("--numeric-owner", "--xattrs", "--xattrs-include=*", "--sparse")

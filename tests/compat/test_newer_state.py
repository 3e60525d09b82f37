"""A newer release's state under this one's agent: refused with a way out, by every command, and left as it is."""

import contextlib
import hashlib
import json
import pathlib
import platform
import sqlite3
from collections.abc import Callable, Iterator

import pytest

from tests.compat import golden
from tests.e2e import command

pytestmark = [
    pytest.mark.root,
    pytest.mark.xdist_group("compat"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="golden images are of that machine"),
]
NEWER = "99.0.0"


@pytest.fixture
def native() -> Iterator[command.Trimtab]:
    """State of the newest release that there is golden state of, in which a newer one says that it has been there."""
    with golden.restored(golden.RELEASES[-1], "native") as trimtab:
        stamp = {"version": 1, "release": NEWER, "root": f"{trimtab.home}/root", "run": f"{trimtab.home}/run"}
        (trimtab.home / "root" / "instance.json").write_text(json.dumps(stamp))
        yield trimtab


def _run(path: pathlib.Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def _raised_stamp(root: pathlib.Path) -> None:
    stamp = json.loads((root / "instance.json").read_text())
    (root / "instance.json").write_text(json.dumps({**stamp, "version": 2}))


def _annotated(root: pathlib.Path) -> None:
    """Add a field to the annotation of a container."""
    path = "$.spec.annotations[0][1]"
    added = f"json_set(json_extract(body, '{path}'), '$.added', 1) || ''"  # a text, as the annotation is
    _run(root / "engine.sqlite", f"UPDATE containers SET body = json_set(body, '{path}', {added}) WHERE name = 'web'")  # noqa: S608 - ours


CHANGES: dict[str, Callable[[pathlib.Path], None]] = {
    "the root's format": _raised_stamp,
    "the records' format": lambda root: _run(root / "engine.sqlite", "PRAGMA user_version = 2"),
    "the journal's format": lambda root: _run(root / "agent.sqlite", "PRAGMA user_version = 2"),
    "a field of a record": lambda root: _run(
        root / "engine.sqlite", "UPDATE containers SET body = json_set(body, '$.spec.added', 1) WHERE name = 'web'"
    ),
    "a field of an annotation": _annotated,
    "a used column": lambda root: _run(
        root / "engine.sqlite",
        "ALTER TABLE volumes ADD COLUMN added TEXT NOT NULL DEFAULT ''",
        "UPDATE volumes SET added = 'x'",
    ),
    "a driver": lambda root: _run(
        root / "engine.sqlite",
        "ALTER TABLE volumes ADD COLUMN driver TEXT NOT NULL DEFAULT 'local'",
        "UPDATE volumes SET driver = 'nfs'",
    ),
    "a field of the journal": lambda root: _run(
        root / "agent.sqlite", "UPDATE ledger SET body = json_set(body, '$.added', 1)"
    ),
}


def _digests(root: pathlib.Path) -> dict[str, str]:
    """Return what containers, volumes and notes are, without the files that SQLite makes beside its own."""
    files = (path for path in root.rglob("*") if path.is_file() and path.parent != root)
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _rows(root: pathlib.Path) -> list[list[object]]:
    """Return what is recorded, without columns that opening adds, whose values are their defaults then."""
    rows = []
    for name, columns, table in (
        ("engine", "*", "containers"),
        ("engine", "name, labels, created_at, removing", "volumes"),
        ("agent", "*", "ledger"),
        ("agent", "*", "good"),
    ):
        with contextlib.closing(sqlite3.connect(root / f"{name}.sqlite")) as connection:
            query = f"SELECT {columns} FROM {table} ORDER BY 1, 2"  # noqa: S608 - ours
            rows.append([list(row) for row in connection.execute(query)])
    return rows


@pytest.mark.parametrize("change", CHANGES)
def test_commands__a_newer_release_has_written__refuse_it_with_a_way_out(native: command.Trimtab, change: str) -> None:
    root = native.home / "root"
    CHANGES[change](root)
    files, rows = _digests(root), _rows(root)
    for verb in ("apply", "run"):
        refused = native(verb, native.instance.source)
        assert refused.returncode == 1, refused.stdout
        assert f"is state of trimtab {NEWER}, this is trimtab" in " ".join(refused.stderr.split())
        assert f"upgrade to trimtab {NEWER}, or give another --root" in " ".join(refused.stderr.split())
        assert "Traceback" not in refused.stderr
    assert (_digests(root), _rows(root)) == (files, rows)


@pytest.mark.parametrize("change", ["the root's format", "a field of a record", "a field of an annotation"])
def test_plan__a_newer_release_has_written__is_refused_with_a_way_out(native: command.Trimtab, change: str) -> None:
    CHANGES[change](native.home / "root")
    refused = native("plan", native.instance.source)
    assert refused.returncode == 1, refused.stdout
    assert "upgrade" in refused.stderr
    assert "or give another --root" in " ".join(refused.stderr.split())

"""Which root and run directory are one instance's: each has a stamp that names the other one.

Asked by every command, also by those that only look: nothing that takes long to import is imported here.
"""

import contextlib
import itertools
import json
import pathlib

from agent import errors
from agent.engine import layout
from agent.kit import frozen, state_format

NAME = state_format.STAMP
"""In both directories: the root and the run directory of the instance, the format of its state, and who wrote it."""
_LOOKED_AT = 8
"""Bundles that are asked whose they are, where no stamp says so."""


class ForeignDirectory(errors.TrimtabError):
    """The root or the run directory belongs to another instance."""


@frozen.value
class Stamp:
    """Which two directories are one instance's, as absolute paths."""

    root: str
    run: str


def check(where: layout.Layout) -> None:
    """Raise ``ForeignDirectory`` where root and run directory are not one instance's; also for who only looks.

    Raises ``kit.state_format.NewerState`` where a newer release has raised the format of what is in the root.
    """
    state_format.check(where.root / NAME, fields_of(where.root).get("version"))
    _check_root(where)
    _check_run(where)


def _check_root(where: layout.Layout) -> None:
    stamp = _read(where.root)
    if stamp is None:
        return
    if stamp.root != str(where.root):
        raise ForeignDirectory(
            f"{where.root} was made as {stamp.root}, and what runs is named after that path",
            hint=f"use --root {stamp.root}; where it was moved or copied on purpose, and nothing of it runs, remove"
            f" {where.root / NAME}",
        )
    other = layout.of(where.root, pathlib.Path(stamp.run))
    if other.run != where.run and _read(other.run) == stamp and _runs(other):
        raise ForeignDirectory(
            f"containers of {where.root} run in {other.run}, not in {where.run}",
            hint=f"use --run-dir {other.run}, or end them there first: trimtab --run-dir {other.run} delete SOURCE",
        )


def _check_run(where: layout.Layout) -> None:
    stamp = _read(where.run)
    if stamp is not None and stamp.root != str(where.root) and (_runs(where) or pathlib.Path(stamp.root).exists()):
        raise ForeignDirectory(
            f"the run directory {where.run} belongs to another instance, that with --root {stamp.root}",
            hint=f"use --root {stamp.root}, or another --run-dir (with none given, each root has its own); where that"
            f" instance is gone for good, remove {where.run / NAME}",
        )
    foreign = _owners(where) - {where.cgroup}
    if foreign:
        raise ForeignDirectory(
            f"in {where.run} run containers of another instance ({', '.join(sorted(foreign))}), not of {where.root}",
            hint="use the --root that they were started with, or another --run-dir",
        )


def _runs(where: layout.Layout) -> bool:
    """Return whether anything may run in the instance's run directory."""
    try:
        return any(where.bundles.iterdir())
    except OSError:
        return False


def _owners(where: layout.Layout) -> set[str]:
    """Return the cgroups that the runs in the run directory are below, as far as a few of them say so."""
    owners: set[str] = set()
    with contextlib.suppress(OSError):
        for bundle in itertools.islice(where.bundles.iterdir(), _LOOKED_AT):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                config = json.loads((bundle / "config.json").read_text())
                owners.add(config["linux"]["cgroupsPath"].strip("/").partition("/")[0])
    return owners


def _read(directory: pathlib.Path) -> Stamp | None:
    """Return a directory's stamp; ``None`` where it has none that can be understood."""
    fields = fields_of(directory)
    return Stamp(str(fields["root"]), str(fields["run"])) if {"root", "run"} <= fields.keys() else None


def fields_of(directory: pathlib.Path) -> dict[str, object]:
    """Return all that a directory's stamp says; nothing where it has none that can be understood."""
    try:
        fields = json.loads((directory / NAME).read_text())
    except (OSError, ValueError):
        return {}
    return fields if isinstance(fields, dict) else {}

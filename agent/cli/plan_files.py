"""Files of plans: written by ``plan --output FILE``, for their owner alone, and read by ``apply FILE``."""

import os
import pathlib
import shlex
import stat

from agent import errors
from agent.kit import atomicfile, state_format
from agent.plan import saved
from agent.sources import api

_LARGEST = 64 * 1024 * 1024
"""Bytes: a plan of ten thousand objects takes a tenth of that."""
_WAY_OUT = "make it again: trimtab plan SOURCE -o FILE"
_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class BadPlanFile(errors.TrimtabError):
    """A file that is no plan, or none that may be applied."""


def check_source(source: str, identity: str) -> None:
    """Raise ``BadPlanFile`` for a SOURCE with a password; ``identity`` is what of it would be kept."""
    if source.startswith("git+") and source != identity:
        raise BadPlanFile(
            "a plan file holds no password, and this SOURCE has one",
            hint="leave it to git's credential helpers, or to ssh, and call trimtab plan again",
        )


def check_no_plan(path: pathlib.Path) -> None:
    """Raise ``sources.api.BadSource`` for a file that is a plan, where manifests are to be read."""
    if is_plan(path):
        message = f"{path} is a plan that was kept, and no manifests"
        raise api.BadSource(message, hint=f"trimtab apply {shlex.quote(str(path))} brings it about")


def write(path: pathlib.Path, plan: saved.SavedPlan) -> None:
    """Write a plan. Raises ``BadPlanFile`` where that cannot be done, or another file would be lost."""
    if path.is_dir() or (path.exists() and not is_plan(path)):
        raise BadPlanFile(
            f"{path} is there already, and is no plan", hint="choose another name: trimtab plan SOURCE -o FILE"
        )
    try:
        atomicfile.write(path, saved.text(plan).encode(), mode=0o600)
    except OSError as error:
        raise BadPlanFile(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error


def is_plan(path: pathlib.Path) -> bool:
    """Return whether a file is a plan, by how it begins."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return file.read(len(saved.MAGIC)) == saved.MAGIC
    except (OSError, ValueError):  # a name with a NUL
        return False


def load(path: pathlib.Path) -> saved.SavedPlan:
    """Return the plan of a file. Raises ``BadPlanFile``, and ``NewerState`` for one of a newer release."""
    try:
        with path.open("rb") as file:
            _check(path, os.fstat(file.fileno()))
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadPlanFile(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    try:
        return saved.parse(data)
    except saved.NewerPlan as error:
        raise state_format.NewerState(
            f"{path} is a plan of a newer trimtab: {error}", hint=f"upgrade trimtab, or {_WAY_OUT}"
        ) from error
    except saved.InvalidPlan as error:
        raise BadPlanFile(f"{path} is damaged: {error}", hint=_WAY_OUT) from error


def _check(path: pathlib.Path, status: os.stat_result) -> None:
    if status.st_uid not in {0, os.geteuid()} or status.st_mode & _BY_OTHERS:
        raise BadPlanFile(f"others may have written to {path}, and so decide what is applied", hint=_WAY_OUT)
    if status.st_size > _LARGEST:
        raise BadPlanFile(f"{path} is larger than {_LARGEST >> 20} MiB, as no plan is", hint=_WAY_OUT)

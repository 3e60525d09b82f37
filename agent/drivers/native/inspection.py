"""The native runtime's own document on a container: its record, and the OCI configuration of the run that is there."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from agent.drivers.native import failures, records_view
from agent.engine.bundle import config
from agent.kit import canonical
from agent.model import secret


def inspect(view: records_view.RecordsView, ref: str) -> Mapping[str, object]:
    """Return ``record``, as it is kept, and ``config``: the bundle's ``config.json``, ``null`` where it has none.

    Values of Secrets, which only the configuration has, are hidden. Raises ``NotFound``.
    """
    with failures.translated():
        record = view.current(view.record(ref))
        document = _configuration(view.where.bundles / record.id)
    hidden = frozenset(record.spec.process.env_at_start)
    return {"record": canonical.plain(record), "config": _without_values(document, hidden)}


def _configuration(bundle: pathlib.Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads((bundle / config.FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return document


def _without_values(document: dict[str, Any] | None, names: frozenset[str]) -> dict[str, Any] | None:
    if document is None or not names:
        return document
    entries = [str(entry).partition("=")[0] for entry in document["process"]["env"]]
    plain = zip(entries, document["process"]["env"], strict=True)
    env = [f"{name}={secret.HIDDEN}" if name in names else entry for name, entry in plain]
    return {**document, "process": {**document["process"], "env": env}}

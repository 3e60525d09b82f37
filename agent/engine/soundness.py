"""Whether rows of the records make sense: what a page of zeroes or garbage leaves of them does not."""

import json
import sqlite3
from collections.abc import Callable

from agent.engine import mending


def _body(*names: str) -> Callable[[sqlite3.Row], object]:
    """Check that a row's ``body`` is JSON, and says the same as the columns that repeat fields of it."""

    def check(row: sqlite3.Row) -> None:
        body = json.loads(row["body"])
        if not isinstance(body, dict) or any(body.get(name) != row[name] for name in names):
            raise ValueError("its columns contradict its body")

    return check


def _labels(row: sqlite3.Row) -> None:
    if not isinstance(json.loads(row["labels"]), list) or "\0" in "".join(map(str, row)):
        raise ValueError("it has labels that are none")


CHECKS: dict[str, mending.Check] = {
    "containers": _body("id", "name"),
    "networks": _body("name"),
    "endpoints": _body("container_id", "network", "address"),
    "publications": _body("container_id"),
    "volumes": _labels,
    "images": _labels,
}

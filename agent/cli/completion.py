"""Words for shell completion: from files that are read in no time, never from a runtime that has to be opened.

A completion never fails: where there is nothing to offer, or nothing may be read, it offers nothing.
"""

import contextlib
import os
import sqlite3

from agent import errors, settings


def containers(incomplete: str) -> list[str]:
    """Give names of containers that the agent knows of."""
    from agent.converge import journal
    from agent.model import key

    with contextlib.suppress(errors.TrimtabError, OSError, sqlite3.Error):
        chosen = settings.load({}, os.environ)
        with journal.Journal(chosen.journal) as book:
            names = [status.key.name for status in book.statuses() if status.key.kind is key.Kind.CONTAINER]
        return [name for name in names if name.startswith(incomplete)]
    return []


def field_paths(incomplete: str) -> list[str]:
    """Give dotted paths that ``explain`` knows: one level further than what is typed."""
    from agent.manifests import explain

    depth = incomplete.count(".")
    return [path for path in explain.paths() if path.startswith(incomplete) and path.count(".") == depth]

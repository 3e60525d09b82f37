"""Candidates for shell completion: from the running agent or small files, never from a runtime that has to be opened.

A completion never fails: if there is nothing to offer, or nothing may be read, it offers nothing.
"""

import contextlib
import os
import pathlib

import click

from agent import errors

_PATIENCE = 0.3
"""Seconds for the agent's answer: nobody waits longer for a TAB."""


def containers(context: click.Context, incomplete: str) -> list[str]:
    """Return names of containers that are known."""
    return [
        name
        for kind, _, name in (key.partition("/") for key in _keys(context))
        if kind == "Container" and name.startswith(incomplete)
    ]


def objects(context: click.Context, incomplete: str) -> list[str]:
    """Return names of objects that are known, as ``Container/web`` and as ``web``."""
    keys = _keys(context)
    spellings = dict.fromkeys([*(key.partition("/")[2] for key in keys), *keys])
    return [spelling for spelling in spellings if spelling.startswith(incomplete)]


def _keys(context: click.Context) -> list[str]:
    """Return every object as ``KIND/NAME``: as the running agent says, or of the journal where none answers."""
    from agent import settings
    from agent.agent_api import status_client

    with contextlib.suppress(errors.TrimtabError, OSError):
        chosen = settings.load(_flags(context), os.environ)
        try:
            return [str(item.key) for item in status_client.read(chosen.run, _PATIENCE).objects]
        except errors.TrimtabError:
            return _recorded(chosen.journal)
    return []


def _flags(context: click.Context) -> dict[str, str]:
    """Return the flags that were typed before the word that is completed."""
    typed = {**context.find_root().params, **context.params}
    names = ("config", "root", "run_dir", "runtime")
    values = {name: typed.get(f"setting_{name}") or typed.get(name) for name in names}
    return {name: value for name, value in values.items() if isinstance(value, str)}


def _recorded(path: pathlib.Path) -> list[str]:
    import sqlite3

    from agent.converge import journal

    with contextlib.suppress(errors.TrimtabError, OSError, sqlite3.Error), journal.Journal(path) as book:
        return [str(status.key) for status in book.statuses()]
    return []


def field_paths(_: click.Context, incomplete: str) -> list[str]:
    """Return dotted paths for ``explain``, one level deeper than what is typed."""
    from agent.manifests import explain

    depth = incomplete.count(".")
    return [path for path in explain.paths() if path.startswith(incomplete) and path.count(".") == depth]

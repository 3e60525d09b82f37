"""What is asked of the running agent: a question, which else the disk answers, or to do something, else done here."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from agent import errors, settings
from agent.agent_api import client
from agent.cli import terminal

T = TypeVar("T")


def ask(
    chosen: settings.Settings,
    path: str,
    query: Mapping[str, object],
    restore: Callable[[dict[str, object]], T],
    by_itself: Callable[[], T],
) -> T:
    """Return what the agent answers to a path, or what ``by_itself`` returns. Raises ``client.MayNotAsk``."""
    from agent.engine import layout, stamps

    stamps.check(layout.of(chosen.root, chosen.run))
    try:
        return restore(client.get(chosen.run, path, query))
    except client.NoAgent:
        pass
    except (client.Unresponsive, ValueError) as error:  # it hangs, or is of a release that has no such path
        terminal.note(terminal.printable(f"the records are read instead: {error}"))
    return by_itself()


def request(
    chosen: settings.Settings,
    path: str,
    query: Mapping[str, object],
    patience: float,
    restore: Callable[[dict[str, object]], T],
) -> T | None:
    """Let the agent do something, and return its answer; ``None`` where none runs.

    ``patience``: seconds. Raises ``TrimtabError`` where no answer came: it may be done all the same; and what
    ``client.post`` raises for what is refused.
    """
    from agent.engine import layout, stamps

    stamps.check(layout.of(chosen.root, chosen.run))
    try:
        return restore(client.post(chosen.run, path, query, patience))
    except client.NoAgent:
        return None
    except (client.Unresponsive, ValueError) as error:
        message = f"nobody knows what has become of it: {error}"
        raise errors.TrimtabError(message, hint="trimtab status says how the agent is") from error

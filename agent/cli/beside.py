"""What is not done beside a running agent, which does otherwise: it is refused before anything is computed."""

import shlex

from agent import errors, settings
from agent.agent_api import client, location


class AgentAtWork(errors.TrimtabError):
    """An agent runs here that brings about the same source."""


def check(chosen: settings.Settings, source: str, refusal: str, way_out: str, other_way_out: str) -> None:
    """Raise ``AgentAtWork`` where an agent brings about a SOURCE here, and ``client.OtherSource`` for another one.

    ``refusal``: what is not done, and why; ``way_out``: what to type instead, with ``{source}`` for the SOURCE, and
    ``other_way_out`` the same where the agent brings about another one. Where no agent answers, the lock will say who
    is at work.
    """
    identity = location.identity(source)
    shown = shlex.quote(identity)
    try:
        client.get(chosen.run, "/v1/status", {"source": identity})
    except (client.NoAgent, client.MayNotAsk, client.Unresponsive):
        return
    except client.OtherSource as error:
        raise client.OtherSource(f"{error.message}: {refusal}", hint=other_way_out.format(source=shown)) from error
    message = f"an agent runs here that brings about {identity}: {refusal}"
    raise AgentAtWork(message, hint=way_out.format(source=shown))


def check_plan(chosen: settings.Settings, source: str) -> None:
    """Raise as ``check`` where a plan is to be kept, or a kept one applied."""
    way_out = "trimtab apply {source} lets the agent do it; to apply a kept plan, stop the agent first"
    other = "stop that agent first, or use another --root and --run-dir"
    check(chosen, source, "no kept plan is applied beside it", way_out, other)


def check_delete(chosen: settings.Settings, source: str) -> None:
    """Raise as ``check`` where what a SOURCE declares is to be removed."""
    way_out = (
        "to remove some of it, remove its manifests, and the agent does so; to remove all of it, stop the agent, and"
        " then: trimtab delete {source}"
    )
    other = "stop that agent, and then: trimtab delete {source}"
    check(chosen, source, "nothing is removed beside it", way_out, other)

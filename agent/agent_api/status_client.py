"""The running agent's status, asked for and read back: what other questions do without."""

import pathlib

from agent.agent_api import client, status, status_json


def read(run: pathlib.Path, timeout: float = client.TIMEOUT) -> status.Status:
    """Return the agent's status. Raises ``client.NoAgent``, ``client.Unresponsive`` and ``client.MayNotAsk``."""
    body = client.get(run, "/v1/status", timeout=timeout)
    try:
        return status_json.restore(body)
    except ValueError as error:
        raise client.Unresponsive(f"the agent's answer is not understood: {error}") from error

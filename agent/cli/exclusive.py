"""The runtime, opened for changes by hand: one process at a time may do that."""

import contextlib
from collections.abc import AsyncIterator

from agent import errors, settings
from agent.runtime import api

_LOCKED = (
    "an agent or another command works on this instance: wait for the command, or declare the image in the agent's"
    " source (kind: Image), or stop the agent for a moment; build, image ls, push and save work beside an agent"
)


@contextlib.asynccontextmanager
async def opened(chosen: settings.Settings) -> AsyncIterator[api.Runtime]:
    """Open the runtime for changes. Raises ``TrimtabError`` beside an agent, and as ``app.open_runtime``."""
    from agent import app
    from agent.kit import locks

    async with contextlib.AsyncExitStack() as stack:
        try:
            runtime = await stack.enter_async_context(app.open_runtime(chosen, exclusive=True))
        except locks.LockedElsewhere as error:
            raise errors.TrimtabError(error.message, hint=_LOCKED) from error
        yield runtime

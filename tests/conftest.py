"""What every test needs."""

import asyncio

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_loop_by_accident() -> None:
    """Say that there is no event loop until a test runs one.

    looptime's plugin asks for the current loop before every test. In a session that has not set any, asyncio would
    answer with a new one that nobody closes.
    """
    asyncio.set_event_loop(None)

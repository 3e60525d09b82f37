"""The signals of ``run``."""

import asyncio
import os
import signal
from typing import Any, cast

import pytest

from agent import service


class Going:
    """A loop that only goes on, with an object whose name is an attack."""

    converged_once = True

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.asked = asyncio.Event()

    async def run(self) -> None:
        """Go on, for ever."""
        os.kill(os.getpid(), signal.SIGUSR1)
        await self.asked.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    def describe(self) -> str:
        """Tell of a task with such a name."""
        self.asked.set()
        return "1 tasks:\n  \x1b[2Jweb\x9b at nowhere"


def test_sigusr1__names_of_strangers__are_made_harmless_line_by_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    async def main() -> str:
        return await service.until_stopped(cast("Any", Going()))

    assert asyncio.run(main()) == "SIGTERM"
    assert capsys.readouterr().err == "1 tasks:\n  \\x1b[2Jweb\\x9b at nowhere\n"

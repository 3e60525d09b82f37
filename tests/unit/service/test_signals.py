"""The signals of ``run``."""

import asyncio
import os
import signal
import subprocess
import sys
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
        """Return a description that names a task."""
        self.asked.set()
        return "1 tasks:\n  \x1b[2Jweb\x9b at nowhere"


def test_sigusr1__names_of_strangers__are_made_harmless_line_by_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    async def main() -> str:
        return await service.until_stopped(cast("Any", Going()), lambda: None)

    assert asyncio.run(main()) == "SIGTERM"
    assert capsys.readouterr().err == "1 tasks:\n  \\x1b[2Jweb\\x9b at nowhere\n"


def test_sighup__asks_for_a_look__and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    asked: list[str] = []

    class HungUp(Going):
        """A loop whose terminal is closed twice before it is stopped."""

        async def run(self) -> None:
            """Go on, for ever."""
            for count in (1, 2):
                os.kill(os.getpid(), signal.SIGHUP)
                while len(asked) < count:  # noqa: ASYNC110 - the handler is seen from outside
                    await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

    async def main() -> str:
        return await service.until_stopped(cast("Any", HungUp()), lambda: asked.append("look"))

    assert asyncio.run(main()) == "SIGTERM"
    assert asked == ["look", "look"]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


_HUNG_UP_EARLY = """
import asyncio, contextlib, os, signal
from agent import app, errors, settings

@contextlib.asynccontextmanager
async def hung_up(*_, **__):
    os.kill(os.getpid(), signal.SIGHUP)
    raise errors.TrimtabError("it has gone on")
    yield

app.open_source = hung_up
try:
    asyncio.run(app.run(settings.Settings(), "m", "", str, lambda: 0))
except errors.TrimtabError as error:
    print(error)
"""


def test_sighup__while_the_agent_is_starting__ends_nothing() -> None:
    command = [sys.executable, "-c", _HUNG_UP_EARLY]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    assert (completed.returncode, completed.stdout) == (0, "it has gone on\n"), completed.stderr

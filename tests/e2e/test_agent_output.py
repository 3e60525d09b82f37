"""Whoever reads the agent's stderr may stop reading, be gone, or hang up: the agent goes on, and ends with 0."""

import contextlib
import fcntl
import functools
import json
import os
import pathlib
import pty
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests import instances
from tests.e2e import command

MANY = 200
"""Dumps by SIGUSR1, of a kilobyte and more each: far more than a pipe holds."""


@pytest.fixture
def shop() -> pathlib.Path:
    return instances.REPOSITORY / "tests/e2e/testdata/shop"


@contextlib.contextmanager
def running(trimtab: command.Trimtab, source: pathlib.Path, stderr: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the agent with a stderr of the test's, in a session of its own."""
    process = subprocess.Popen(
        trimtab.command("run", source, "--listen", "127.0.0.1:0", "--log-format", "json"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=trimtab.environment,
        start_new_session=True,
    )
    os.close(stderr)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def port(reader: int) -> int:
    """Read until the agent has told its port, and wait until it goes round."""
    received = b""
    while True:
        received += os.read(reader, 4096)
        for line in received.split(b"\n")[:-1]:
            if b'"port"' in line:
                number: int = json.loads(line)["port"]
                command.assert_eventually(functools.partial(is_alive, number), "a loop that goes round")
                return number


def is_alive(number: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{number}/healthz", timeout=command.PATIENCE) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


def test_run__stderr_is_not_read__goes_on_and_ends_with_0(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with running(trimtab, shop, writer) as process:
        number = port(reader)
        for _ in range(MANY):
            process.send_signal(signal.SIGUSR1)
            assert is_alive(number)
        process.send_signal(signal.SIGTERM)
        assert process.wait(command.PATIENCE) == 0
    os.close(reader)


def test_run__reader_of_stderr_is_gone__goes_on_and_ends_with_0(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    reader, writer = os.pipe()
    with running(trimtab, shop, writer) as process:
        number = port(reader)
        os.close(reader)
        for _ in range(3):
            process.send_signal(signal.SIGUSR1)
            assert is_alive(number)
        process.send_signal(signal.SIGTERM)
        assert process.wait(command.PATIENCE) == 0


def test_run__terminal_is_closed_and_hangs_up__goes_on_and_ends_with_0(
    trimtab: command.Trimtab, shop: pathlib.Path
) -> None:
    ours, theirs = pty.openpty()
    with running(trimtab, shop, theirs) as process:
        number = port(ours)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        for _ in range(3):
            process.send_signal(signal.SIGUSR1)
            assert is_alive(number)
        process.send_signal(signal.SIGTERM)
        assert process.wait(command.PATIENCE) == 0


def test_run__sighup__looks_at_the_source_and_the_runtime_now(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        reads = agent.metric('trimtab_source_reads_total{result="good"}') or 0
        agent.send(signal.SIGHUP)
        agent.assert_shows('trimtab_reconcile_triggers_total{trigger="request"}', 1.0)
        command.assert_eventually(
            lambda: (agent.metric('trimtab_source_reads_total{result="good"}') or 0) > reads, "another look"
        )
        assert "looking at everything again" in agent.log
        agent.send(signal.SIGHUP)
        agent.assert_shows('trimtab_reconcile_triggers_total{trigger="request"}', 2.0)

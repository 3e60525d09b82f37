"""The three checks of a container, each asked of something that really answers, refuses or is not there."""

import asyncio
import contextlib
import errno
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from agent import errors
from agent.drivers.memory import driver, world
from agent.kit import clock
from agent.model import health
from agent.observe import checks, connections
from agent.runtime import api
from tests import builders, hostports

LOOPBACK = "127.0.0.1"
SUCCESS, FAILURE, UNKNOWN = checks.ProbeOutcome.SUCCESS, checks.ProbeOutcome.FAILURE, checks.ProbeOutcome.UNKNOWN


@pytest.fixture
def around() -> Iterator[world.World]:
    """A world in which programs can be made up."""
    opened = world.World(clock.SystemClock())
    yield opened
    opened.close()


async def run(around: world.World, code: int, output: bytes) -> checks.CheckResult:
    """Run a program in a container that exits with a code and says something."""
    runtime: api.Runtime = driver.runtime_in(around)
    around.program("check", lambda _: (code, output))
    await runtime.images.ensure(builders.image_config(), (), lambda _: None)
    identity = await runtime.containers.create(builders.config(), "web", builders.labels_for(builders.config()))
    await runtime.containers.start(identity)
    return await checks.command(runtime, identity, health.ExecProbe(("check", "-v")))


@pytest.mark.parametrize(
    ("code", "output", "expected"),
    [
        (0, b"noise", checks.SUCCESS),
        (3, b"", checks.CheckResult(FAILURE, "check exited with 3")),
        (3, b" no\n", checks.CheckResult(FAILURE, "check exited with 3: no")),
        (3, b"\xff", checks.CheckResult(FAILURE, "check exited with 3: \ufffd")),
        (3, b"x" * 300 + b"y" * 200, checks.CheckResult(FAILURE, f"check exited with 3: {'y' * 200}")),
    ],
)
async def test_command__its_code_decides_and_its_last_words_are_kept(
    around: world.World, code: int, output: bytes, expected: checks.CheckResult
) -> None:
    assert await run(around, code, output) == expected


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (errors.InvalidArgument("no such program"), FAILURE),
        (errors.NotFound("it has ended"), UNKNOWN),
        (errors.Unavailable("no engine"), UNKNOWN),
    ],
)
async def test_command__cannot_be_run__is_a_failure_only_where_the_probe_is_to_blame(
    around: world.World, error: errors.Failure, outcome: checks.ProbeOutcome
) -> None:
    around.fail("containers.exec", error)
    assert await run(around, 0, b"") == checks.CheckResult(outcome, error.message)


async def test_connection__accepted__is_success() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await checks.connection(LOOPBACK, health.TcpProbe(port)) == checks.SUCCESS


async def test_connection__refused__is_a_failure_and_says_where() -> None:
    port = hostports.free_port()
    refused = checks.CheckResult(
        FAILURE, f"connecting to {LOOPBACK}:{port} failed: Connect call failed ('{LOOPBACK}', {port})"
    )
    assert await checks.connection(LOOPBACK, health.TcpProbe(port)) == refused


async def test_request__healthy_or_not__is_what_the_answer_says(serving) -> None:
    async with serving(b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 503 No\r\n\r\n") as server:
        assert await checks.request(LOOPBACK, server.probe("/a")) == checks.SUCCESS
        message = f"GET http://{LOOPBACK}:{server.port}/a was answered 503"
        assert await checks.request(LOOPBACK, server.probe("/a")) == checks.CheckResult(FAILURE, message)


async def test_request__refused__is_a_failure_and_says_what_was_asked() -> None:
    port = hostports.free_port()
    result = await checks.request(LOOPBACK, health.HttpProbe(port, "/x", "http", ()))
    assert result.outcome is FAILURE
    assert result.message.startswith(f"GET http://{LOOPBACK}:{port}/x failed: ")


@contextlib.contextmanager
def without_descriptors() -> Iterator[None]:
    """Let this process have no more files than it has open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_connection__this_host_has_no_descriptor_left__says_nothing_about_the_container() -> None:
    with without_descriptors():
        result = await checks.connection(LOOPBACK, health.TcpProbe(80))
    message = f"connecting to {LOOPBACK}:80 failed: {os.strerror(errno.EMFILE)}"
    assert result == checks.CheckResult(UNKNOWN, message)


@pytest.mark.parametrize("size", [10, 200_000])
async def test_opened__by_an_answer_of_any_size__is_closed_on_our_side_at_once(serving, size: int) -> None:
    async with serving(b"x" * size) as server:
        async with connections.opened(LOOPBACK, server.port) as (reader, writer):
            writer.write(b"\n")
            assert await reader.readexactly(size) == b"x" * size
            transport = writer.transport
        assert transport.is_closing()


async def test_opened__the_other_side_reads_nothing__is_gone_at_once_with_what_was_not_sent() -> None:
    with socket.create_server((LOOPBACK, 0)) as listening:
        async with connections.opened(LOOPBACK, listening.getsockname()[1]) as (_, writer):
            writer.write(b"x" * (64 << 20))
            ours = writer.get_extra_info("socket")
        await asyncio.sleep(0)  # the event loop's next step closes it
        assert ours.fileno() == -1


def test_outcome__as_a_label__is_one_of_these_words() -> None:
    assert [outcome.value for outcome in checks.ProbeOutcome] == ["success", "failure", "unknown"]
    assert checks.SUCCESS.message == ""

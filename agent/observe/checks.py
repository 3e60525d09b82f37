"""The three checks of a container: command, HTTP and TCP. None raises: ``UNKNOWN`` is an answer too."""

import enum
import errno

from agent import errors
from agent.kit import frozen
from agent.model import health
from agent.observe import connections, http_check
from agent.runtime import api, streams

_MOST_OUTPUT = 200
"""Bytes of a failing command's last words that are kept."""
_OWN_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
"""Errors of this host's own (no descriptors, no memory): they say nothing about the container."""


class ProbeOutcome(enum.StrEnum):
    """The outcome of a check; a metric's label."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"
    """The container could not be asked: as with kubelet, that counts neither for nor against it."""


@frozen.value
class CheckResult:
    """The outcome of a check, with the reason of a failure."""

    outcome: ProbeOutcome
    message: str = ""


SUCCESS = CheckResult(ProbeOutcome.SUCCESS)


async def command(runtime: api.Runtime, ref: str, probe: health.ExecProbe) -> CheckResult:
    """Run a command in the container; 0 is success. What it leaves behind is not waited for."""
    request = streams.ExecRequest(probe.command)
    output = b""
    try:
        async with runtime.containers.exec(ref, request) as session:
            async for _, chunk in session.output():
                output = (output + chunk)[-_MOST_OUTPUT:]
            code = await session.wait()
    except errors.InvalidArgument as error:
        return _failure(error.message)
    except errors.Failure as error:  # it has ended meanwhile, or its engine does not answer
        return CheckResult(ProbeOutcome.UNKNOWN, error.message)
    if code == 0:
        return SUCCESS
    words = output.decode(errors="replace").strip()
    return _failure(f"{probe.command[0]} exited with {code}: {words}".rstrip(": "))


async def request(address: str, probe: health.HttpProbe) -> CheckResult:
    """Ask by HTTP; 200 to 399 is success."""
    try:
        message = await http_check.check(address, probe)
    except OSError as error:
        what = f"GET {http_check.url(address, probe)} failed"
        return _unreachable(what, error)
    return _failure(message) if message else SUCCESS


async def connection(address: str, probe: health.TcpProbe) -> CheckResult:
    """Connect; being accepted is success."""
    try:
        async with connections.opened(address, probe.port):
            return SUCCESS
    except OSError as error:
        return _unreachable(f"connecting to {address}:{probe.port} failed", error)


def _failure(message: str) -> CheckResult:
    return CheckResult(ProbeOutcome.FAILURE, message)


def _unreachable(what: str, error: OSError) -> CheckResult:
    outcome = ProbeOutcome.UNKNOWN if error.errno in _OWN_SHORTAGES else ProbeOutcome.FAILURE
    return CheckResult(outcome, f"{what}: {error.strerror or error}")

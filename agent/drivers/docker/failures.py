"""An engine's failures in the runtime's vocabulary.

The Engine API tells kinds apart by HTTP status, and not all of them: a port in use, an address that is taken and a
program that is not in the image are all "500". What distinguishes them is only in the text; the phrases that are looked
for stand here, in one table, and a phrase that another version words differently costs a less precise reason, no more.
"""

import contextlib
import re
from collections.abc import Iterator

import aiodocker.exceptions
import aiohttp

from agent.runtime import errors

_UNREACHABLE = 900
"""The status by which aiodocker says that nobody answered."""
_PHRASES: tuple[tuple[str, type[errors.RuntimeFailure], str], ...] = (
    (r"name .*already in use", errors.AlreadyExists, "NameTaken"),
    (r"port is already allocated|(listen|bind).*address already in use", errors.Conflict, "PortInUse"),
    (r"address .*(already|is) (in use|allocated)|address already in use", errors.Conflict, "AddressInUse"),
    (r"cannot assign requested address", errors.Conflict, "AddressInUse"),
    (r"pool overlaps|subnet .*already|overlaps with other", errors.Conflict, "SubnetInUse"),
    (r"bind source path does not exist|statfs .*no such file", errors.InvalidArgument, "MountSourceMissing"),
    (r"has active endpoints|is being used|is using its referenced|in use by", errors.InUse, ""),
    (r"no space left on device|disk quota exceeded", errors.Unavailable, "DiskFull"),
    (r"no such host|connection refused|i/o timeout|TLS handshake|x509:", errors.Unavailable, "ImagePullFailed"),
    (r"toomanyrequests|Client\.Timeout|(network|host) is unreachable", errors.Unavailable, "ImagePullFailed"),
    (
        r"access (to the resource )?(is )?denied|unauthorized|authentication required|(?<!permission )denied:",
        errors.InvalidArgument,
        "ImagePullDenied",
    ),
    (r"no basic auth credentials", errors.InvalidArgument, "ImagePullDenied"),
    (r"unable to find network|network .* not found", errors.NotFound, "NetworkNotFound"),
    (r"manifest unknown|manifest for .* not found|name unknown", errors.NotFound, "ImageNotFound"),
    (r"no matching manifest|no image found in .* for architecture", errors.NotFound, "PlatformNotFound"),
    (r"is not running|container state improper", errors.Conflict, "NotRunning"),
    (r"executable file not found|no such file|permission denied|\bOCI\b", errors.InvalidArgument, "StartFailed"),
)
"""(what is looked for, what it means, the reason); the first that fits counts."""
_STATUSES: dict[int, type[errors.RuntimeFailure]] = {
    400: errors.InvalidArgument,
    403: errors.Conflict,
    404: errors.NotFound,
    409: errors.Conflict,
}


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Let only the runtime's kinds of error pass; ``what`` says which object the call was about."""
    try:
        yield
    except aiodocker.exceptions.DockerError as error:
        raise of(error.status, str(error.message), what) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise unavailable(f"{type(error).__name__} {error}") from error
    except TimeoutError as error:
        raise errors.Unavailable(
            f"the engine did not answer in time about {what}",
            hint="it is asked again by itself",
            reason="EngineTimeout",
        ) from error


def of(status: int, said: str, what: str) -> errors.RuntimeFailure:
    """Give the error that an answer means."""
    text = " ".join(said.split())[-600:]
    if status == _UNREACHABLE:
        return unavailable(text)
    message = f"{what}: {text}" if text else f"{what}: the engine answers {status} without a reason"
    for pattern, kind, reason in _PHRASES:
        if re.search(pattern, text, re.IGNORECASE):
            return kind(message, reason=reason)
    if status in _STATUSES:
        return _STATUSES[status](message)
    return errors.Unavailable(message, reason="EngineFailure")


def unavailable(said: str) -> errors.Unavailable:
    """Say that the engine cannot be reached."""
    return errors.Unavailable(
        f"the engine cannot be reached: {said}", hint="is it running? it is tried again by itself", reason="EngineDown"
    )

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

from agent import errors
from agent.reasons import Reason

_UNREACHABLE = 900
"""The status that aiodocker uses when nobody answered."""
_PHRASES: tuple[tuple[str, type[errors.Failure], Reason | None], ...] = (
    (r"name .*already in use|UNIQUE constraint failed: ContainerConfig\.Name", errors.AlreadyExists, Reason.NAME_TAKEN),
    (r"port is already allocated|(listen|bind).*address already in use", errors.Conflict, Reason.PORT_IN_USE),
    (r"address .*(already|is) (in use|allocated)|address already in use", errors.Conflict, Reason.ADDRESS_IN_USE),
    (r"cannot assign requested address", errors.Conflict, Reason.ADDRESS_IN_USE),
    (r"pool overlaps|subnet .*already|overlaps with other", errors.Conflict, Reason.SUBNET_IN_USE),
    (r"bind source path does not exist|statfs .*no such file", errors.Unavailable, Reason.MOUNT_SOURCE_MISSING),
    (r"error mounting .* to rootfs at .*: l?stat .*no such file", errors.Unavailable, Reason.MOUNT_SOURCE_MISSING),
    (r"(error stat'ing file|cannot stat) .*no such file", errors.Unavailable, Reason.MOUNT_SOURCE_MISSING),
    (r"has active endpoints|is being used|is using its referenced|in use by", errors.InUse, None),
    (r"no space left on device|disk quota exceeded", errors.Unavailable, Reason.DISK_FULL),
    (r"no such host|connection refused|i/o timeout|TLS handshake|x509:", errors.Unavailable, Reason.IMAGE_PULL_FAILED),
    (r"toomanyrequests|Client\.Timeout|(network|host) is unreachable", errors.Unavailable, Reason.IMAGE_PULL_FAILED),
    (
        r"access (to the resource )?(is )?denied|unauthorized|authentication required|(?<!permission )denied:",
        errors.InvalidArgument,
        Reason.IMAGE_PULL_DENIED,
    ),
    (r"no basic auth credentials", errors.InvalidArgument, Reason.IMAGE_PULL_DENIED),
    (r"unable to find network|network .* not found", errors.NotFound, Reason.NETWORK_NOT_FOUND),
    (r"manifest unknown|manifest for .* not found|name unknown", errors.NotFound, Reason.IMAGE_NOT_FOUND),
    (r"no matching manifest|no image found in .* for architecture", errors.NotFound, Reason.PLATFORM_NOT_FOUND),
    (r"is not running|container state improper", errors.Conflict, Reason.NOT_RUNNING),
    (r"executable file not found|no such file|permission denied|\bOCI\b", errors.InvalidArgument, Reason.START_FAILED),
)
"""(pattern, error, reason); the first match counts."""
_STATUSES: dict[int, type[errors.Failure]] = {
    400: errors.InvalidArgument,
    403: errors.Conflict,
    404: errors.NotFound,
    409: errors.Conflict,
}


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise the runtime's errors in place of aiodocker's; ``what`` is the object that the call was about."""
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
            reason=Reason.ENGINE_TIMEOUT,
        ) from error


def of(status: int, message: str, what: str) -> errors.Failure:
    """Return the error that a status and its message mean."""
    text = " ".join(message.split())[-600:]
    if status == _UNREACHABLE:
        return unavailable(text)
    message = f"{what}: {text}" if text else f"{what}: the engine answers {status} without a reason"
    for pattern, kind, reason in _PHRASES:
        if re.search(pattern, text, re.IGNORECASE):
            return kind(message, reason=reason)
    if status in _STATUSES:
        return _STATUSES[status](message)
    return errors.Unavailable(message, reason=Reason.ENGINE_FAILURE)


def unavailable(message: str) -> errors.Unavailable:
    """Return the error for an engine that cannot be reached."""
    return errors.Unavailable(
        f"the engine cannot be reached: {message}",
        hint="is it running? it is tried again by itself",
        reason=Reason.ENGINE_DOWN,
    )

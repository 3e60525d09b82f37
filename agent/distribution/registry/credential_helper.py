"""Credential helpers (``docker-credential-NAME``), asked as Docker asks them.

The output of such a program may be a secret, also when it fails: it is never shown.
"""

import json
import re

from agent import errors
from agent.kit import isolation, processes
from agent.reasons import Reason

PATIENCE = 15.0
"""Seconds for an answer: some helpers ask a cloud's service; one that asks a person would never end."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ENVIRONMENT = (
    *isolation.USER,
    *isolation.PROXIES,
    *isolation.CERTIFICATES,
    *("AWS_*", "AZURE_*", "ACR_*", "CLOUDSDK_*", "GOOGLE_*", "DOCKER_CONFIG", "XDG_DATA_HOME", "XDG_CACHE_HOME"),
    *("DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME", "GPG_TTY", "PASSWORD_STORE_*", "DISPLAY", "WAYLAND_DISPLAY"),
)
"""Where the keychains that such programs ask are, and who asks: clouds' own variables, the desktop's, pass(1)'s."""
_NOT_FOUND = b"credentials not found"
"""The beginning of every helper's "not found" (docker-credential-helpers, ``credentials/error.go``)."""


async def ask(name: str, server: str) -> tuple[str, str] | None:
    """Return the user and the secret that a program keeps for a server; ``None`` where it keeps none.

    Raises ``errors.InvalidArgument`` where there is no such program, ``errors.Unavailable`` where it does not do its
    work; both ``CredentialHelperFailed``.
    """
    program = f"docker-credential-{name}"
    path = processes.which(program) if _NAME.fullmatch(name) else None
    if path is None:
        raise errors.InvalidArgument(
            f"the login for {server} is kept by {program[:100]!r}, which is not installed",
            hint="install it, or take it out of docker's config.json and log in again",
            reason=Reason.CREDENTIAL_HELPER_FAILED,
        )
    try:
        environment = isolation.environment(*_ENVIRONMENT)
        options = processes.Options(stdin=server.encode(), timeout=PATIENCE, env=environment)
        ended = await processes.run([path, "get"], options)
    except processes.ProcessTimeout as error:
        raise _failure(program, server, f"does not answer within {PATIENCE:g} s") from error
    except OSError as error:
        raise _failure(program, server, f"cannot be run: {error.strerror}") from error
    if ended.returncode:
        if _NOT_FOUND in (ended.stdout + ended.stderr).lower():
            return None
        raise _failure(program, server, f"fails with {ended.returncode}")
    return _read(program, server, ended.stdout)


def _read(program: str, server: str, answer: bytes) -> tuple[str, str] | None:
    try:
        login = json.loads(answer)
    except (ValueError, RecursionError):
        login = None  # a JSONDecodeError carries the whole text
    if isinstance(login, dict):  # what is left out is empty, as for Docker: some answer {} where they know nothing
        match login.get("Username") or "", login.get("Secret") or "":
            case str(user), str(secret):
                return (user, secret) if user or secret else None
            case _:
                pass
    raise _failure(program, server, "answers with something that is no login")


def _failure(program: str, server: str, what: str) -> errors.Unavailable:
    return errors.Unavailable(
        f"{program}, which keeps the login for {server}, {what}",
        hint=f"see what it says: echo {server} | {program} get",
        reason=Reason.CREDENTIAL_HELPER_FAILED,
    )

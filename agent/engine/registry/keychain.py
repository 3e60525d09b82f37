"""Programs that keep logins (``docker-credential-NAME``), asked as Docker asks them.

What such a program prints may be a secret, also when it fails: it is shown to nobody.
"""

import json
import re

from agent.engine import errors
from agent.kit import processes

PATIENCE = 15.0
"""Seconds: some ask a cloud's service; one that asks a person would never end."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_FOUND = b"credentials not found"
"""How they all begin to say that they know nothing (docker-credential-helpers, ``credentials/error.go``)."""


async def ask(name: str, server: str) -> tuple[str, str] | None:
    """Give the user and the secret that a program keeps for a server; ``None`` where it keeps none.

    Raises ``errors.Refused`` where there is no such program, ``errors.Unavailable`` where it does not do its work;
    both ``CredentialHelperFailed``.
    """
    program = f"docker-credential-{name}"
    found = processes.which(program) if _NAME.fullmatch(name) else None
    if found is None:
        raise errors.Refused(
            f"the login for {server} is kept by {program[:100]!r}, which is not installed",
            hint="install it, or take it out of docker's config.json and log in again",
            reason="CredentialHelperFailed",
        )
    try:
        ended = await processes.run([found, "get"], processes.Options(stdin=server.encode(), timeout=PATIENCE))
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
        told = json.loads(answer)
    except (ValueError, RecursionError):
        told = None  # a JSONDecodeError carries the whole text
    match told:
        case {"Username": str(user), "Secret": str(secret)}:
            return (user, secret) if user or secret else None
    raise _failure(program, server, "answers with something that is no login")


def _failure(program: str, server: str, what: str) -> errors.Unavailable:
    return errors.Unavailable(
        f"{program}, which keeps the login for {server}, {what}",
        hint=f"see what it says: echo {server} | {program} get",
        reason="CredentialHelperFailed",
    )

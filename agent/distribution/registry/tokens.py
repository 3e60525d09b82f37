"""Access tokens for pulls and pushes, by registries' challenges (distribution's token and OAuth2 authentication).

A login is sent only to its registry, and to the token server that this registry names.
"""

import datetime as dt
import http
import json
import re
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable

import yarl

from agent import errors
from agent.distribution.registry import credentials, hosts, retries, transport
from agent.oci import reference
from agent.reasons import Reason

_LARGEST_TOKEN = 1024 * 1024
_CLIENT = "trimtab"
"""The client id that token servers get."""
Logins = Callable[[str, str], Awaitable[credentials.Credentials | None]]
"""Returns a login, by the names of registry and repository."""
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Tokens:
    """Access tokens by endpoint, repository and right. None is kept longer than it is valid."""

    def __init__(self, connection: transport.Transport, logins: Logins, attempts: retries.Retries) -> None:
        """Start without tokens. ``logins`` returns the login for a repository."""
        self._connection = connection
        self._logins = logins
        self._attempts = attempts
        self._held: dict[tuple[str, str, str], str] = {}

    def held(self, where: hosts.Endpoint, source: reference.Reference, right: str) -> dict[str, str]:
        """Return the authorization header of a token that was obtained before; empty where there is none."""
        value = self._held.get((str(where.origin), source.repository, right))
        return {"Authorization": value} if value else {}

    def forget(self, where: hosts.Endpoint, source: reference.Reference, right: str) -> None:
        """Drop a token that the registry has refused."""
        self._held.pop((str(where.origin), source.repository, right), None)

    def forget_all(self) -> None:
        """Drop all tokens: logins have changed."""
        self._held.clear()

    async def obtain(
        self, where: hosts.Endpoint, source: reference.Reference, right: str, challenges: Iterable[str]
    ) -> None:
        """Obtain the authorization header that an endpoint's challenges ask for.

        Raises ``errors.InvalidArgument`` (``ImagePullDenied``), ``errors.Unavailable`` (``ImagePullFailed``), and what
        ``logins`` raises.
        """
        self.forget(where, source, right)
        challenge = next(filter(None, map(credentials.challenge, challenges)), None)
        if challenge is None:
            raise denied(where, source)
        login = await self._logins(where.login, f"{where.prefix}{source.repository}")
        if challenge.scheme == "basic":
            shown = login.basic() if login else ""
        else:
            shown = f"Bearer {await self._token(where, source, right, challenge, login)}"
        if not shown:
            raise denied(where, source)
        self._held[str(where.origin), source.repository, right] = shown

    async def _token(
        self,
        where: hosts.Endpoint,
        source: reference.Reference,
        right: str,
        challenge: credentials.Challenge,
        login: credentials.Credentials | None,
    ) -> str:
        asked = {"scope": challenge.scope or f"repository:{where.prefix}{source.repository}:{right}"}
        if challenge.service:
            asked["service"] = challenge.service
        realm = _realm(where, challenge)
        tls = where.tls if realm.origin() == where.origin.origin() else transport.TRUSTED
        await self._attempts.admit(realm.origin(), wait=not where.mirror)
        answer = await self._connection.ask(_request(realm, tls, asked, login))
        try:
            if answer.status in {400, 401, 403}:
                raise denied(where, source)
            granted = answer.status == http.HTTPStatus.OK
            data = await transport.read(answer, _LARGEST_TOKEN, transport.LeastSpeed()) if granted else b""
        finally:
            answer.close()
        token = _parse_token(data)
        if token is None:
            failure = transport.TransientError(
                f"{answer.url.origin()} answers {answer.status} and no token for {where.login}",
                retry_after=retries.parse_retry_after(answer.headers.get("Retry-After", ""), dt.datetime.now(dt.UTC)),
            )
            self._attempts.note(realm.origin(), failure)
            raise failure
        return token


def _request(
    realm: yarl.URL, tls: transport.Tls, asked: dict[str, str], login: credentials.Credentials | None
) -> transport.Request:
    """Return the request for a token: ``GET``, or OAuth2's form where there is an identity token."""
    if login is None or not login.identity_token:
        shown = {"Authorization": login.basic()} if login else {}
        scopes = {"scope": asked["scope"].split()}  # a parameter for each of several scopes
        return transport.Request("GET", realm.extend_query({**asked, **scopes}), tls, shown)
    form = {"grant_type": "refresh_token", "client_id": _CLIENT, "refresh_token": login.identity_token, **asked}
    body = urllib.parse.urlencode(form).encode()
    return transport.Request("POST", realm, tls, {"Content-Type": "application/x-www-form-urlencoded"}, lambda: body)


def denied(where: hosts.Endpoint, source: reference.Reference) -> errors.InvalidArgument:
    """Return the error for a login that is missing or refused."""
    return errors.InvalidArgument(
        f"{where.login} does not let us at {source}",
        hint=f"declare a Secret with its login, or let docker login {where.login} write it",
        reason=Reason.IMAGE_PULL_DENIED,
    )


def _realm(where: hosts.Endpoint, challenge: credentials.Challenge) -> yarl.URL:
    """Return the token server's address: HTTPS, unless it is the registry itself or both are on this host."""
    try:
        realm = transport.address(challenge.realm)
    except ValueError as error:
        raise errors.Unavailable(
            f"{where.login} wants a token from what is no HTTP address", reason=Reason.IMAGE_PULL_FAILED
        ) from error
    allowed = realm.origin() == where.origin.origin() or (
        where.origin.scheme == "http" and transport.is_loopback(realm.host)
    )
    if realm.scheme == "http" and not allowed:
        raise errors.InvalidArgument(f"{where.login} asks for a login over plain HTTP", reason=Reason.IMAGE_PULL_DENIED)
    return realm


def _parse_token(data: bytes) -> str | None:
    """Return the token in an answer; ``None`` where there is none that fits into a header."""
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return None
    token = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
    return token if isinstance(token, str) and _TOKEN.fullmatch(token) else None

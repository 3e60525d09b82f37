"""Rights to pull and push: how registries' challenges are answered (distribution's token and OAuth2 authentication).

A login is shown to the registry that it was made for, and to the one place that this registry itself names for tokens.
"""

import datetime as dt
import http
import json
import re
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable

import yarl

from agent.engine import errors
from agent.engine.registry import credentials, hosts, retries, transport
from agent.oci import reference

_LARGEST_TOKEN = 1024 * 1024
_CLIENT = "trimtab"
"""Who we say we are, where a place for tokens wants to know the program."""
Logins = Callable[[str, str], Awaitable[credentials.Credentials | None]]
"""Gives what is known to be let in, by the names of the registry and of the repository."""
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Grants:
    """What was granted, by place, repository and what is done there. Nothing is kept longer than it holds."""

    def __init__(self, connection: transport.Transport, logins: Logins, attempts: retries.Retries) -> None:
        """Nothing is granted yet. ``logins`` is asked for what a registry wants to know."""
        self._connection = connection
        self._logins = logins
        self._attempts = attempts
        self._held: dict[tuple[str, str, str], str] = {}

    def held(self, where: hosts.Endpoint, source: reference.Reference, right: str) -> dict[str, str]:
        """Give the header that shows what was granted; empty where nothing was."""
        value = self._held.get((str(where.origin), source.repository, right))
        return {"Authorization": value} if value else {}

    def forget(self, where: hosts.Endpoint, source: reference.Reference, right: str) -> None:
        """Drop what the registry does not take any more."""
        self._held.pop((str(where.origin), source.repository, right), None)

    def forget_all(self) -> None:
        """Drop all: who we are has changed."""
        self._held.clear()

    async def obtain(
        self, where: hosts.Endpoint, source: reference.Reference, right: str, challenges: Iterable[str]
    ) -> None:
        """Answer the challenges of a place.

        Raises ``errors.Refused`` (``ImagePullDenied``), ``errors.Unavailable`` (``ImagePullFailed``), and what
        ``logins`` raises.
        """
        self.forget(where, source, right)
        wanted = next(filter(None, map(credentials.challenge, challenges)), None)
        if wanted is None:
            raise denied(where, source)
        known = await self._logins(where.login, f"{where.prefix}{source.repository}")
        if wanted.scheme == "basic":
            shown = known.basic() if known else ""
        else:
            shown = f"Bearer {await self._token(where, source, right, wanted, known)}"
        if not shown:
            raise denied(where, source)
        self._held[str(where.origin), source.repository, right] = shown

    async def _token(
        self,
        where: hosts.Endpoint,
        source: reference.Reference,
        right: str,
        wanted: credentials.Challenge,
        known: credentials.Credentials | None,
    ) -> str:
        asked = {"scope": wanted.scope or f"repository:{where.prefix}{source.repository}:{right}"}
        if wanted.service:
            asked["service"] = wanted.service
        realm = _realm(where, wanted)
        tls = where.tls if realm.origin() == where.origin.origin() else transport.TRUSTED
        await self._attempts.admit(realm.origin(), wait=not where.mirror)
        answer = await self._connection.ask(_request(realm, tls, asked, known))
        try:
            if answer.status in {400, 401, 403}:
                raise denied(where, source)
            data = await transport.read(answer, _LARGEST_TOKEN) if answer.status == http.HTTPStatus.OK else b""
        finally:
            answer.close()
        token = _told(data)
        if token is None:
            failure = transport.Passing(
                f"{answer.url.origin()} answers {answer.status} and no token for {where.login}",
                retry_after=retries.wish(answer.headers.get("Retry-After", ""), dt.datetime.now(dt.UTC)),
            )
            self._attempts.note(realm.origin(), failure)
            raise failure
        return token


def _request(
    realm: yarl.URL, tls: transport.Tls, asked: dict[str, str], known: credentials.Credentials | None
) -> transport.Request:
    """Ask for a token: as nobody or with a password by ``GET``, with an identity token as OAuth2 has it."""
    if known is None or not known.identity_token:
        shown = {"Authorization": known.basic()} if known else {}
        scopes = {"scope": asked["scope"].split()}  # several are asked for by several parameters
        return transport.Request("GET", realm.extend_query({**asked, **scopes}), tls, shown)
    form = {"grant_type": "refresh_token", "client_id": _CLIENT, "refresh_token": known.identity_token, **asked}
    body = urllib.parse.urlencode(form).encode()
    return transport.Request("POST", realm, tls, {"Content-Type": "application/x-www-form-urlencoded"}, lambda: body)


def denied(where: hosts.Endpoint, source: reference.Reference) -> errors.Refused:
    """Say that a registry wants a login, or another one."""
    return errors.Refused(
        f"{where.login} does not let us at {source}",
        hint=f"declare a Secret with its login, or let docker login {where.login} write it",
        reason="ImagePullDenied",
    )


def _realm(where: hosts.Endpoint, wanted: credentials.Challenge) -> yarl.URL:
    """Give where tokens are to be had: over HTTPS, unless it and the registry are on this host, or are one."""
    try:
        realm = transport.address(wanted.realm)
    except ValueError as error:
        raise errors.Unavailable(
            f"{where.login} wants a token from what is no HTTP address", reason="ImagePullFailed"
        ) from error
    allowed = realm.origin() == where.origin.origin() or (
        where.origin.scheme == "http" and transport.is_loopback(realm.host)
    )
    if realm.scheme == "http" and not allowed:
        raise errors.Refused(f"{where.login} asks for a login over plain HTTP", reason="ImagePullDenied")
    return realm


def _told(data: bytes) -> str | None:
    """Give the token in an answer; ``None`` where there is none that could be sent."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return None
    token = (told.get("token") or told.get("access_token")) if isinstance(told, dict) else None
    return token if isinstance(token, str) and _TOKEN.fullmatch(token) else None

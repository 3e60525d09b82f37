"""Rights to pull: how a registry's challenge is answered (distribution's token authentication), and what it granted.

A login is shown to the registry that it was made for, and to the one place that this registry itself names for tokens.
"""

import http
import json
import re
from collections.abc import Iterable

import yarl

from agent.engine import errors
from agent.engine.registry import credentials, transport
from agent.oci import reference

_LARGEST_TOKEN = 1024 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Grants:
    """What registries have granted, by repository. Nothing is kept longer than the registry takes it."""

    def __init__(self, connection: transport.Transport) -> None:
        """Nothing is granted yet."""
        self._connection = connection
        self._held: dict[tuple[str, str], str] = {}

    def held(self, source: reference.Reference) -> dict[str, str]:
        """Give the header that shows what was granted; empty where nothing was."""
        value = self._held.get((source.registry, source.repository))
        return {"Authorization": value} if value else {}

    def forget(self, source: reference.Reference) -> None:
        """Drop what the registry does not take any more."""
        self._held.pop((source.registry, source.repository), None)

    async def obtain(self, source: reference.Reference, base: yarl.URL, challenges: Iterable[str]) -> None:
        """Answer the challenges of the registry at ``base``.

        Raises ``errors.Refused`` (``ImagePullDenied``), ``errors.Unavailable`` (``ImagePullFailed``).
        """
        self.forget(source)
        known = credentials.find(source.registry, credentials.config_path())
        wanted = next(filter(None, map(credentials.challenge, challenges)), None)
        if wanted is None or (wanted.scheme == "basic" and known is None):
            raise denied(source)
        basic = {"Authorization": known.basic()} if known else {}
        value = basic["Authorization"] if wanted.scheme == "basic" else await self._token(source, base, wanted, basic)
        self._held[source.registry, source.repository] = value

    async def _token(
        self, source: reference.Reference, base: yarl.URL, wanted: credentials.Challenge, basic: dict[str, str]
    ) -> str:
        asked = {"scope": wanted.scope or f"repository:{source.repository}:pull"}
        if wanted.service:
            asked["service"] = wanted.service
        answer = await self._connection.get(_realm(source, base, wanted).extend_query(asked), basic)
        try:
            if answer.status in {400, 401, 403}:
                raise denied(source)
            data = await transport.read(answer, _LARGEST_TOKEN) if answer.status == http.HTTPStatus.OK else b""
        finally:
            answer.close()
        token = _told(data)
        if token is None:
            raise errors.Unavailable(
                f"{answer.url.origin()} answers {answer.status} and no token for {source.registry}",
                hint="it is tried again by itself",
                reason="ImagePullFailed",
            )
        return f"Bearer {token}"


def denied(source: reference.Reference) -> errors.Refused:
    """Say that a registry wants a login, or another one."""
    return errors.Refused(
        f"{source.registry} does not let us pull {source}",
        hint=f"docker login {source.registry} writes the credentials that are used",
        reason="ImagePullDenied",
    )


def _realm(source: reference.Reference, base: yarl.URL, wanted: credentials.Challenge) -> yarl.URL:
    """Give where tokens are to be had: over HTTPS, unless both it and the registry are on this host."""
    try:
        realm = transport.address(wanted.realm)
    except ValueError as error:
        raise errors.Unavailable(
            f"{source.registry} wants a token from what is no HTTP address", reason="ImagePullFailed"
        ) from error
    if realm.scheme == "http" and (base.scheme == "https" or not transport.is_loopback(realm.host)):
        raise errors.Refused(f"{source.registry} asks for a login over plain HTTP", reason="ImagePullDenied")
    return realm


def _told(data: bytes) -> str | None:
    """Give the token in an answer; ``None`` where there is none that could be sent."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return None
    token = (told.get("token") or told.get("access_token")) if isinstance(told, dict) else None
    return token if isinstance(token, str) and _TOKEN.fullmatch(token) else None

"""Locations of the form ``git+URL[?interval=60s][#REF[:SUBPATH]]``. Pure: text in, a value or ``BadSource`` out."""

import dataclasses
import hashlib
import pathlib
import re
import urllib.parse

from agent.kit import frozen, quantities
from agent.sources import api

PREFIX = "git+"
PROTOCOLS = ("https", "ssh", "file", "git", "http")
"""How a repository may be reached. Everything else is refused, above all git's ``ext``, which runs programs."""
INSECURE = frozenset({"git", "http"})
"""Those by which anybody on the way can change what comes: only where the settings allow it."""

_DEFAULT_INTERVAL = 60.0
_MINIMUM_INTERVAL = 1.0
_SCP = re.compile(r"(?P<host>[\w.-]+@[\w.-]+|[\w.-]+):(?P<path>[^/\\:][^:]*)")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/@+-]*")
_EXAMPLES = "write git+https://HOST/PATH, git+ssh://USER@HOST/PATH or git+/PATH"
_FORM = "the form is git+URL[?interval=60s][#REF[:SUBPATH]]"


@frozen.value
class GitLocation:
    """A path in a repository, and how often the repository is polled."""

    url: str
    """Free of credentials: what may be shown."""
    credentials: str = dataclasses.field(default="", repr=False)
    """``user:password``, percent-encoded as it was written; never shown, never stored, never on a command line."""
    reference: str = ""
    """A branch, a tag, a full ref or a full commit; empty for the repository's own default branch."""
    subpath: str = ""
    interval: float = _DEFAULT_INTERVAL
    """Seconds between two looks at the repository."""

    def __str__(self) -> str:
        """Return the form that people type, without the credentials."""
        fragment = "#" + self.reference + (":" + self.subpath if self.subpath else "")
        return PREFIX + self.url + (fragment if fragment != "#" else "")

    @property
    def scheme(self) -> str:
        """Return how the repository is reached: one of ``PROTOCOLS``."""
        return self.url.partition("://")[0]

    @property
    def slug(self) -> str:
        """Return the name of the checkout's directory, which is unique for each repository and ref."""
        return hashlib.sha256(f"{self.url}#{self.reference}".encode()).hexdigest()[:16]

    @property
    def commit(self) -> str:
        """Return ``reference`` where it is a full commit; empty where it has to be looked up."""
        return self.reference if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", self.reference) else ""


def parse(text: str) -> GitLocation:
    """Read a SOURCE that starts with ``git+``. Raises ``BadSource``."""
    remainder, _, fragment = text.removeprefix(PREFIX).partition("#")
    remainder, _, query = remainder.partition("?")
    url, credentials = _url(remainder)
    reference, _, subpath = urllib.parse.unquote(fragment).partition(":")
    if reference and (not _REF.fullmatch(reference) or ".." in reference):
        raise api.BadSource(f"{reference!r} is not a branch, tag or commit", hint=_FORM)
    return GitLocation(url, credentials, reference, _subpath(subpath), _interval(query))


def _url(text: str) -> tuple[str, str]:
    """Return the URL without its credentials, and the credentials."""
    if text.startswith("/"):
        return f"file://{text}", ""
    if "://" not in text and (scp := _SCP.fullmatch(text)):
        text = f"ssh://{scp['host']}/{scp['path']}"
    try:
        parts = urllib.parse.urlsplit(text)
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        # What Python says of it may have the password in it.
        raise api.BadSource("the URL of the git repository has no sound host and port", hint=_FORM) from error
    if not parts.scheme:
        raise api.BadSource("git+ is followed by neither a URL nor an absolute path", hint=_EXAMPLES)
    if parts.scheme not in PROTOCOLS:
        raise api.BadSource(
            f"a git repository cannot be reached by {parts.scheme!r}: only by {', '.join(PROTOCOLS)}",
            hint=_FORM,
        )
    if any(ord(letter) <= ord(" ") for letter in text) or not (parts.netloc or parts.scheme == "file"):
        raise api.BadSource("the URL of the git repository names no host", hint=_FORM)
    _check_control_characters(f"{parts.hostname}{parts.path}", "the URL of the git repository holds")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    if host.startswith("-") or parts.path.startswith("/-"):
        raise api.BadSource("a host or path that starts with '-' is refused", hint=_FORM)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    if parts.scheme == "ssh":
        if password:
            raise api.BadSource("ssh takes no password in the URL", hint="use a key: ssh-agent or ~/.ssh/config")
        return f"ssh://{user + '@' if user else ''}{host}{port}{parts.path}", ""
    return f"{parts.scheme}://{host}{port}{parts.path}", _credentials(user, password)


def _credentials(user: str, password: str) -> str:
    credentials = f"{user}:{password}" if password else user
    _check_control_characters(credentials, "user and password in the URL hold")
    return credentials


def _check_control_characters(text: str, subject: str) -> None:
    """Refuse what would be a further line in git's protocol of credentials. Raises ``BadSource``."""
    if any(ord(letter) < ord(" ") for letter in urllib.parse.unquote(text)):
        raise api.BadSource(f"{subject} control characters", hint=_FORM)


def _subpath(text: str) -> str:
    path = pathlib.PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\0" in text:
        raise api.BadSource(
            f"the sub-path {text!r} leads out of the repository", hint="give it from the repository's top"
        )
    return "" if str(path) == "." else str(path)


def _interval(query: str) -> float:
    interval = _DEFAULT_INTERVAL
    for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if name != "interval":
            raise api.BadSource(f"a git source knows no parameter {name!r}", hint=_FORM)
        try:
            interval = quantities.seconds(value)
        except ValueError as error:
            raise api.BadSource(f"interval={value!r} must be {error}", hint="write 30s, 5m or 1h30m") from error
        if interval < _MINIMUM_INTERVAL:
            raise api.BadSource(f"interval={value} is too short", hint=f"at least {_MINIMUM_INTERVAL:g}s")
    return interval

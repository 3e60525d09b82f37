"""What ADD takes from elsewhere: files of URLs, and git repositories."""

import asyncio
import base64
import email.utils
import hashlib
import os
import pathlib
import posixpath
import re
import urllib.parse

import aiohttp

from agent import errors
from agent.distribution.content import store
from agent.dockerfile import remotes
from agent.kit import command_line, frozen, isolation, processes, trees
from agent.reasons import Reason

_CHUNK = 1024 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30.0, sock_read=60.0)
_NANOSECONDS = 10**9
_CHECKSUM = re.compile(r"(sha256|sha384|sha512):([0-9a-f]{64,128})")
_GIT_SAFE = ("-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never", "-c", "protocol.file.allow=user")
_GIT_TIMEOUT = 600.0
_NOT_FOUND = 404


@frozen.value
class Download:
    """A file or a checked out repository."""

    name: str
    path: pathlib.Path
    digest: str
    """Of a file's content, or the commit."""
    modified: int
    """Nanoseconds since the epoch."""
    is_repository: bool = False

    def described(self) -> object:
        """Return what the cache's key has of it."""
        return self.name, self.digest, self.is_repository, self.modified


@frozen.value
class Wishes:
    """What is asked of a source beside its content."""

    checksum: str = ""
    """``ALGORITHM:HEX`` that a file must have; empty: none is known."""
    keeps_git_dir: bool = False


class Fetcher:
    """Fetches for one build."""

    def __init__(self, largest: int) -> None:
        """Take how many bytes a file may have."""
        self._largest = largest

    async def fetched(self, source: str, folder: pathlib.Path, wishes: Wishes) -> Download:
        """Fetch a source into a new path of a folder.

        Raises ``errors.Unavailable``, ``errors.NotFound``, ``errors.InvalidArgument`` (``DigestMismatch``).
        """
        if remotes.is_git(source):
            return await _Repository(source, wishes, folder / f"git-{_token(source)}").fetched()
        try:
            return await self._file(source, wishes, folder / f"file-{_token(source)}")
        except (aiohttp.ClientError, TimeoutError) as error:
            message = f"{source} cannot be fetched: {str(error) or type(error).__name__}"
            raise errors.Unavailable(message, reason=Reason.HOST_FAILURE) from error

    async def _file(self, source: str, wishes: Wishes, path: pathlib.Path) -> Download:
        expected = _CHECKSUM.fullmatch(wishes.checksum) if wishes.checksum else None
        if wishes.checksum and expected is None:
            raise errors.InvalidArgument(f"{wishes.checksum} is no checksum", hint="write --checksum=sha256:HEX")
        sha256, checksum = hashlib.sha256(), hashlib.new(expected[1]) if expected else None
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True, auto_decompress=False) as session,
            session.get(source, headers={"Accept-Encoding": "identity"}) as response,
        ):
            if response.status == _NOT_FOUND:
                raise errors.NotFound(f"{source} is not there: 404", reason=Reason.CONTENT_MISSING)
            response.raise_for_status()
            name = _name(source, response.headers.get("Content-Disposition", ""))
            modified = _modified(response.headers.get("Last-Modified", ""))
            size = 0
            with store.translated_writes(), path.open("xb") as file:
                async for chunk in response.content.iter_chunked(_CHUNK):
                    size += len(chunk)
                    if size > self._largest:
                        raise errors.InvalidArgument(f"{source} is larger than {self._largest} bytes")
                    sha256.update(chunk)
                    if checksum is not None:
                        checksum.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(os.utime, path, ns=(modified, modified))
        if checksum is not None and expected is not None and checksum.hexdigest() != expected[2]:
            raise errors.InvalidArgument(
                f"{source} has the checksum {checksum.name}:{checksum.hexdigest()}, not {wishes.checksum}",
                hint="it has changed there, or on its way",
                reason=Reason.DIGEST_MISMATCH,
            )
        return Download(name, path, sha256.hexdigest(), modified)


class _Repository:
    """A repository that is fetched."""

    def __init__(self, source: str, wishes: Wishes, folder: pathlib.Path) -> None:
        self._source = command_line.without_logins(source)
        self._location, _, self._fragment = source.partition("#")
        self._wishes = wishes
        self._folder = folder
        self._login: dict[str, str] = {}
        """Variables by which git is told a login: its command line is everybody's to read."""

    async def fetched(self) -> Download:
        location, login = _without_login(self._location)
        self._login = login
        if location.startswith("github.com/"):
            location = f"https://{location}"
        ref, _, inner = self._fragment.partition(":")
        if ref.startswith("-") or location.startswith("-"):
            raise errors.InvalidArgument(f"{self._source} is no git repository", hint="write URL.git#REF:FOLDER")
        self._folder.mkdir(mode=0o755)
        await self._git("init", "--quiet")
        await self._git("fetch", "--quiet", "--depth", "1", "--", location, ref or "HEAD")
        await self._git("checkout", "--quiet", "--detach", "FETCH_HEAD")
        commit = (await self._git("rev-parse", "HEAD")).decode().strip()
        if not self._wishes.keeps_git_dir:
            await asyncio.to_thread(_without_git, self._folder)
        path = self._folder / posixpath.normpath(f"/{inner}").lstrip("/")
        if not path.resolve().is_relative_to(self._folder.resolve()) or not path.exists():
            raise errors.NotFound(f"there is no {inner} in {location}", reason=Reason.CONTENT_MISSING)
        return Download("", path, f"{commit}:{inner}:{self._wishes.keeps_git_dir}", 0, is_repository=True)

    async def _git(self, *words: str) -> bytes:
        env = {
            **isolation.environment(*isolation.PROXIES, *isolation.CERTIFICATES, "SSH_AUTH_SOCK"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "HOME": "/nonexistent",
            **self._login,
        }
        options = processes.Options(env=env, timeout=_GIT_TIMEOUT)
        try:
            completed = await processes.run(["git", *_GIT_SAFE, "-C", str(self._folder), *words], options)
        except FileNotFoundError as error:
            raise errors.Unavailable("git is not installed", hint="apt-get install git") from error
        if completed.returncode:
            reason = completed.stderr.decode(errors="replace").strip()[-300:]
            raise errors.Unavailable(f"{self._source} cannot be fetched: {reason}", reason=Reason.HOST_FAILURE)
        return completed.stdout


def _without_login(location: str) -> tuple[str, dict[str, str]]:
    """Return a URL without user and password, and variables that let git send them to that host alone."""
    parts = urllib.parse.urlsplit(location)
    if parts.scheme not in {"http", "https"} or "@" not in parts.netloc:
        return location, {}
    login, _, host = parts.netloc.rpartition("@")
    header = base64.b64encode(urllib.parse.unquote_to_bytes(login)).decode()
    variables = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{host}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {header}",
    }
    return urllib.parse.urlunsplit(parts._replace(netloc=host)), variables


def _without_git(folder: pathlib.Path) -> None:
    trees.remove(folder / ".git")


def _token(source: str) -> str:
    return hashlib.sha256(os.fsencode(source)).hexdigest()[:16]


def _name(source: str, disposition: str) -> str:
    """Return what a file is called: as its server says, or by its URL's path."""
    match = re.search(r'filename="?([^";]+)"?', disposition)
    path = match[1] if match else urllib.parse.unquote(urllib.parse.urlsplit(source).path)
    name = os.path.basename(path.rstrip("/"))  # noqa: PTH119 - of a URL
    if name in {"", ".", ".."} or "\0" in name:
        raise errors.InvalidArgument(
            f"{source} gives its file no name", hint="write a target that is no directory: ADD URL /folder/name"
        )
    return name


def _modified(text: str) -> int:
    try:
        return int(email.utils.parsedate_to_datetime(text).timestamp()) * _NANOSECONDS if text else 0
    except (ValueError, OverflowError):
        return 0

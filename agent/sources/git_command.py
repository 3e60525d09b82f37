"""Running git so that nothing of a repository runs with it: no hooks, no submodules, no filters, no prompts.

Credentials travel in the environment, which only the same user can read, and reach git by a credential helper: they
never stand on a command line (git's own helper for HTTP has its URL on one), in the checkout's configuration, or in an
error.
"""

import pathlib
import signal
import urllib.parse
from collections.abc import Iterator

from agent.kit import frozen, isolation, processes
from agent.sources import api, git_location
from agent.sources import limits as source_limits

_QUIET_CONFIG = {
    "advice.detachedHead": "false",
    "core.attributesFile": "/dev/null",
    "core.bigFileThreshold": "8m",  # what is larger is never held in memory as a whole
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.logAllRefUpdates": "false",
    "core.sparseCheckout": "true",
    "core.sparseCheckoutCone": "false",
    "index.sparse": "false",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsckObjects": "true",  # trees and .gitmodules that are made to hurt
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",  # one pack a fetch, whose size can be bounded
    "filter.lfs.process": "",
    "filter.lfs.required": "false",
    "filter.lfs.smudge": "",
    "gc.autoDetach": "false",
    "gc.autoPackLimit": "8",
    "http.lowSpeedLimit": "100",
    "http.lowSpeedTime": "30",
    "init.defaultBranch": "main",
    "submodule.recurse": "false",
    "transfer.bundleURI": "false",  # nothing is fetched from where a server points to
}

_ENVIRONMENT = (
    *isolation.USER,
    *isolation.PROXIES,
    *isolation.CERTIFICATES,
    *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_PROXY_COMMAND", "GIT_SSL_*", "GIT_HTTP_*"),
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "CURL_CA_BUNDLE"),
    *("SSH_AUTH_SOCK", "SSH_AGENT_PID", "KRB5CCNAME", "GNUPGHOME", "DBUS_SESSION_BUS_ADDRESS"),
)
"""How the user reaches hosts and logs in. Nothing that speaks of a repository: a hook that started us has set that."""

_LOCAL_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
"""Settings of commands on our own clone: no network, and no filter or hook that the user has configured."""

_HELPER = (
    "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' "
    '"$TRIMTAB_GIT_USERNAME" "$TRIMTAB_GIT_PASSWORD"; }; f'
)
"""A credential helper (gitcredentials(7)) that answers from its environment."""

_NOISE = ("Please make sure you have", "and the repository exists", "hint:", "warning:")
"""Words around the reasons in git's messages."""

_TOO_LARGE = (b"died of signal 25", b"File too large")


class TooLarge(api.SourceUnavailable):
    """A repository is more than the settings allow."""


@frozen.value
class CommandOptions:
    """Limits of one git command."""

    timeout: float
    """Seconds after which the command is killed."""
    remote: bool = False
    """Whether it talks to the repository's server, with the user's configuration."""
    stdin: bytes = b""
    largest: int | None = None
    """Bytes of the largest file that it may write, what it prints included."""


@frozen.value
class Git:
    """Git for one location."""

    location: git_location.GitLocation
    git_directory: pathlib.Path
    work_tree: pathlib.Path

    async def run(self, options: CommandOptions, *arguments: str) -> bytes:
        """Run a git command and return what it prints.

        Raises ``SourceUnavailable`` with git's own words, freed of credentials; ``TooLarge`` past ``options.largest``.
        """
        bound = () if options.largest is None else ("prlimit", f"--fsize={options.largest}", "--")
        argv = (*bound, "git", f"--git-dir={self.git_directory}", f"--work-tree={self.work_tree}", *arguments)
        process_options = processes.Options(
            stdin=options.stdin, timeout=options.timeout, env=self._environment(options)
        )
        try:
            completed = await processes.run(argv, process_options)
        except FileNotFoundError as error:
            raise api.SourceUnavailable("git is not installed", hint="apt-get install git") from error
        except processes.ProcessTimeout as error:
            raise api.SourceUnavailable(f"{self.location}: no answer within {options.timeout:g} s") from error
        if completed.returncode:
            if options.largest is not None and _is_too_large(completed):
                raise too_large(self.location, options.largest)
            raise api.SourceUnavailable(f"{self.location}: {self._reason(completed)}", hint=_hint(completed.stderr))
        return completed.stdout

    def _environment(self, options: CommandOptions) -> dict[str, str]:
        config = [*_QUIET_CONFIG.items()]
        environment = isolation.environment(*_ENVIRONMENT)
        if options.remote:
            environment["GIT_ALLOW_PROTOCOL"] = self.location.scheme
            config += self._credential_config()
            username, password = self._login()
            if self.location.credentials:
                environment |= {"TRIMTAB_GIT_USERNAME": username, "TRIMTAB_GIT_PASSWORD": password}
        else:
            environment |= _LOCAL_ENVIRONMENT
        for index, (name, value) in enumerate(config):
            environment[f"GIT_CONFIG_KEY_{index}"] = name
            environment[f"GIT_CONFIG_VALUE_{index}"] = value
        return environment | {
            "GIT_CONFIG_COUNT": str(len(config)),
            "GIT_ASKPASS": "/bin/false",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
            "SSH_ASKPASS": "/bin/false",
        }

    def _credential_config(self) -> Iterator[tuple[str, str]]:
        """Name the helper for the location's own host only: a redirect elsewhere gets nothing of it."""
        if self.location.credentials:
            scheme, _, remainder = self.location.url.partition("://")
            section = f"credential.{scheme}://{remainder.partition('/')[0]}"
            yield f"{section}.helper", ""  # the user's own are not asked
            yield f"{section}.helper", _HELPER

    def _login(self) -> tuple[str, str]:
        user, _, password = self.location.credentials.partition(":")
        return urllib.parse.unquote(user), urllib.parse.unquote(password)

    def _reason(self, completed: processes.Completed) -> str:
        lines = (line.strip() for line in completed.stderr.decode(errors="replace").splitlines())
        words = [line.removeprefix("fatal: ").rstrip(".") for line in lines if line and not line.startswith(_NOISE)]
        text = "; ".join(words[-4:]) or f"git failed with {completed.returncode}"
        credentials = self.location.credentials
        secrets = {credentials, urllib.parse.unquote(credentials), *self._login()[1:]}
        secrets |= {secret.partition(":")[2] for secret in secrets}
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def too_large(location: git_location.GitLocation, largest: int) -> TooLarge:
    """Return the error for a command that would have written more than it may."""
    size = source_limits.megabytes(largest)
    return TooLarge(f"{location}: more than {size} were to be written", hint="see source.fetch")


def _is_too_large(completed: processes.Completed) -> bool:
    return completed.returncode == -signal.SIGXFSZ or any(text in completed.stderr for text in _TOO_LARGE)


def _hint(stderr: bytes) -> str:
    """Return the hint for git's most frequent errors; empty for others."""
    output = stderr.lower()
    if b"dubious ownership" in output:
        return "git config --global --add safe.directory PATH, as the user that runs trimtab"
    if (
        b"could not read username" in output
        or b"authentication failed" in output
        or b"permission denied (publickey" in output
    ):
        return "set up a credential helper or an ssh key for the user that runs trimtab"
    if b"host key verification failed" in output:
        return "add the host to known_hosts: ssh-keyscan HOST >> ~/.ssh/known_hosts"
    return "what runs is left as it is"

"""Running git so that nothing of a repository runs with it: no hooks, no submodules, no filters, no prompts.

Credentials travel in the environment (``url.<with>.insteadOf``), which only the same user can read; they never stand on
a command line, in the checkout's configuration, or in an error.
"""

import dataclasses
import os
import pathlib
import urllib.parse

from agent.kit import processes
from agent.sources import api, git_location

_QUIET_CONFIG = {
    "advice.detachedHead": "false",
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.logAllRefUpdates": "false",
    "fetch.recurseSubmodules": "false",
    "filter.lfs.process": "",
    "filter.lfs.required": "false",
    "filter.lfs.smudge": "",
    "gc.autoDetach": "false",
    "http.lowSpeedLimit": "100",
    "http.lowSpeedTime": "30",
    "init.defaultBranch": "main",
    "submodule.recurse": "false",
}

_NOT_PASSED_ON = frozenset(
    {
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"),
        *("GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS"),
        *("GIT_CONFIG_COUNT", "GIT_REPLACE_REF_BASE", "GIT_GRAFT_FILE", "GIT_TRACE", "GIT_CURL_VERBOSE"),
    }
)
"""What a hook or an alias that started us would have set: it speaks of another repository, or logs headers."""

_NOISE = ("Please make sure you have", "and the repository exists", "hint:", "warning:")
"""What git says around its reasons."""


@dataclasses.dataclass(frozen=True, slots=True)
class Git:
    """Git for one location."""

    location: git_location.GitLocation
    git_directory: pathlib.Path
    work_tree: pathlib.Path

    async def run(self, *arguments: str, patience: float) -> str:
        """Run a git command and give what it prints. ``patience`` is in seconds.

        Raises ``SourceUnavailable`` with git's own words, freed of credentials.
        """
        argv = ("git", f"--git-dir={self.git_directory}", f"--work-tree={self.work_tree}", *arguments)
        try:
            completed = await processes.run(argv, processes.Options(timeout=patience, env=self._environment()))
        except FileNotFoundError as error:
            raise api.SourceUnavailable("git is not installed", hint="apt-get install git") from error
        except processes.ProcessTimeout as error:
            raise api.SourceUnavailable(f"{self.location}: no answer within {patience:g} s") from error
        if completed.returncode:
            raise api.SourceUnavailable(f"{self.location}: {self._reason(completed)}", hint=_hint(completed.stderr))
        return completed.stdout.decode(errors="surrogateescape")

    def _environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        config = dict(_QUIET_CONFIG)
        if self.location.credentials:
            scheme, _, rest = self.location.url.partition("://")
            host = rest.partition("/")[0]
            config[f"url.{scheme}://{self.location.credentials}@{host}/.insteadOf"] = f"{scheme}://{host}/"
        for index, (name, value) in enumerate(config.items()):
            environment[f"GIT_CONFIG_KEY_{index}"] = name
            environment[f"GIT_CONFIG_VALUE_{index}"] = value
        return environment | {
            "GIT_CONFIG_COUNT": str(len(config)),
            "GIT_ALLOW_PROTOCOL": ":".join(git_location.PROTOCOLS),
            "GIT_ASKPASS": "/bin/false",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
            "SSH_ASKPASS": "/bin/false",
        }

    def _reason(self, completed: processes.Completed) -> str:
        lines = (line.strip() for line in completed.stderr.decode(errors="replace").splitlines())
        words = [line.removeprefix("fatal: ").rstrip(".") for line in lines if line and not line.startswith(_NOISE)]
        text = "; ".join(words[-4:]) or f"git failed with {completed.returncode}"
        credentials = self.location.credentials
        secrets = {credentials, urllib.parse.unquote(credentials)}
        secrets |= {secret.partition(":")[2] for secret in secrets}
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def _hint(stderr: bytes) -> str:
    """Give the way out of what git says most often."""
    said = stderr.lower()
    if b"dubious ownership" in said:
        return "git config --global --add safe.directory PATH, as the user that runs trimtab"
    if (
        b"could not read username" in said
        or b"authentication failed" in said
        or b"permission denied (publickey" in said
    ):
        return "set up a credential helper or an ssh key for the user that runs trimtab"
    if b"host key verification failed" in said:
        return "add the host to known_hosts: ssh-keyscan HOST >> ~/.ssh/known_hosts"
    return "what runs is left as it is"

"""How this instance is spoken to by somebody who types a command: with the flags that lead to it, and no others.

Every message that quotes a command of ours is completed here, so that what is copied from it reaches the same instance.
"""

import pathlib
import re
import shlex
from collections.abc import Mapping

from agent import settings
from agent.kit import command_line, frozen

_ENGINE_VARIABLES = {"docker": ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"), "podman": ("CONTAINER_HOST",)}
"""What tells which engine is meant: whoever types the command elsewhere needs it too."""
_QUOTED = re.compile(
    r"\btrimtab (?=(?P<said>(?:--[a-z-]+ \S+ )*)"
    r"(?:adopt|apply|build|cp|delete|describe|doctor|events|exec|history|image|logs|observe|plan|reconcile|render|restart|resume"
    r"|run|status|suspend|system|top|validate|wait)\b)"
)


@frozen.value
class Invocation:
    """What stands before and behind the word ``trimtab``."""

    variables: tuple[str, ...] = ()
    """As ``NAME=VALUE``."""
    flags: tuple[str, ...] = ()

    def command(self, *words: str) -> str:
        """Return a command line for a shell, without the passwords of URLs: it is shown and logged."""
        return self._start(self.flags) + shlex.join(command_line.without_logins(word) for word in words)

    def completed(self, text: str) -> str:
        """Return a text with the commands that it quotes completed. A flag that one has already stays as it is."""

        def start(quoted: re.Match[str]) -> str:
            words = quoted["said"].split()
            pairs = zip(self.flags[::2], self.flags[1::2], strict=True)
            return self._start(tuple(word for pair in pairs if pair[0] not in words for word in pair))

        return _QUOTED.sub(start, text)

    def _start(self, flags: tuple[str, ...]) -> str:
        return shlex.join([*self.variables, "trimtab", *flags]) + " "


def of(chosen: settings.Settings, config: str, environment: Mapping[str, str]) -> Invocation:
    """Return how the instance of some settings is spoken to; ``config``: the configuration that was named, if any."""
    plain = settings.load({"config": config} if config else {}, {})
    flags = ["--config", str(pathlib.Path(config).absolute())] if config else []
    flags += [] if chosen.root == plain.root else ["--root", str(chosen.root)]
    flags += [] if chosen.run_dir == plain.run_dir else ["--run-dir", str(chosen.run)]
    flags += [] if chosen.runtime == plain.runtime else ["--runtime", chosen.runtime]
    names = _ENGINE_VARIABLES.get(chosen.runtime, ())
    variables = tuple(f"{name}={environment[name]}" for name in names if environment.get(name))
    return Invocation(variables, tuple(flags))

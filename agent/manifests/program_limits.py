"""What Linux starts a program with at most (execve(2)): checked before anything that runs is taken away for it."""

from collections.abc import Iterator

from agent.manifests import env_file, problem, registry
from agent.manifests.v1 import container

MOST_BYTES = 768 * 1024
"""Bytes of arguments and variables in a manifest, and as much again in env files: less than a quarter of a stack."""
_HINT = "give large data as a file, by a mount"


def is_too_long(text: str) -> bool:
    """Return whether a text is longer than any that a program is started with."""
    return len(text.encode()) > env_file.LONGEST


def problems(manifest: registry.Manifest, spec: container.ContainerSpec) -> Iterator[problem.Problem]:
    """Yield what of a Container's own command and environment is too long, or too much."""
    total = 0
    for field, words in (("command", spec.command), ("args", spec.args)):
        for number, word in enumerate(words or ()):
            total += len(word.encode()) + 1
            if is_too_long(word):
                yield manifest.document.problem(_too_long("an argument"), _HINT, "spec", field, number)
    for name, value in spec.env.items():
        text = f"{name}={'' if isinstance(value, container.EnvironmentSource) else value}"
        total += len(text.encode()) + 1
        if is_too_long(text):
            yield manifest.document.problem(_too_long("a variable"), _HINT, "spec", "env", name)
    if total > MOST_BYTES:
        message = f"command, args and env have more than {MOST_BYTES // 1024} KiB together"
        yield manifest.document.problem(message, _HINT, "spec")


def _too_long(what: str) -> str:
    return f"{what} is {(env_file.LONGEST + 1) // 1024} KiB or longer: no program can be started with it"

"""What ``build --check`` reads, and how it is shown."""

import os
import pathlib
import sys

from agent import errors
from agent.cli import problems, terminal
from agent.dockerfile import checks, ignore, lines, parse, soundness
from agent.kit import files, frozen
from agent.manifests import problem

_LARGEST_IGNORE = 1024 * 1024
"""Bytes of a ``.dockerignore``."""


@frozen.value
class Examination:
    """What was read of a Dockerfile, and what there is to say of it."""

    path: pathlib.Path
    data: bytes
    problems: tuple[problem.Problem, ...]
    findings: tuple[checks.Finding, ...]
    """Empty where there are problems."""

    def document(self) -> dict[str, object]:
        """Return it for programs."""
        return {
            "dockerfile": str(self.path),
            "problems": self.problems,
            "checks": [
                {"line": finding.position[0], "rule": finding.rule, "message": finding.message, "hint": finding.hint}
                for finding in self.findings
            ],
        }

    def show(self) -> None:
        """Print it for people, to stderr."""
        problems.show(self.problems, {str(self.path): self.data})
        source = self.data.splitlines()
        for finding in self.findings:
            line, column = finding.position
            where = terminal.style(terminal.printable(f"{self.path}:{line}:{column}:"), "bold", sys.stderr)
            rule = terminal.style(f"{finding.rule}:", "yellow", sys.stderr)
            terminal.note(f"{where} {rule} {terminal.printable(finding.message)}")
            for text in problems.excerpt(source, line, column):
                terminal.note(terminal.style(text, "dim", sys.stderr))
            terminal.note(f"{terminal.style('hint:', 'cyan', sys.stderr)} {terminal.printable(finding.hint)}")


def examine(path: str, file: str | None) -> Examination:
    """Read a Dockerfile and look at it. Raises ``InvalidArgument`` where it cannot be read."""
    dockerfile, context = _locations(path, file)
    data = _read(dockerfile)
    parsed = parse.parse(data)
    mistakes = [
        problem.Problem(str(dockerfile), *wrong.position, wrong.message, wrong.hint)
        for wrong in parsed.mistakes or soundness.mistakes(parsed)
    ]
    try:
        chosen = checks.choice(parsed.dockerfile.check)
    except ValueError as error:
        chosen = checks.Choice()
        mistakes.append(problem.Problem(str(dockerfile), 1, 1, f"the check directive: {error}"))
    patterns, wrong_pattern = _ignored(dockerfile, context)
    if wrong_pattern is not None:
        mistakes.append(wrong_pattern)
    findings = () if mistakes else checks.check(parsed, chosen, patterns)
    return Examination(dockerfile, data, tuple(mistakes), findings)


def _locations(path: str, file: str | None) -> tuple[pathlib.Path, pathlib.Path]:
    """Return the Dockerfile and its context."""
    target = pathlib.Path(path)
    if file is not None:
        return pathlib.Path(file), target
    return (target / "Dockerfile", target) if target.is_dir() else (target, target.parent)


def _read(path: pathlib.Path) -> bytes:
    try:
        return _read_most(path, lines.LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name has a NUL"
        hint = "name the Dockerfile: trimtab build --check --file FILE PATH"
        raise errors.InvalidArgument(f"{path} cannot be read: {reason}", hint=hint) from error


def _read_most(path: pathlib.Path, largest: int) -> bytes:
    descriptor = files.open_regular(path)
    try:
        return files.read_most(descriptor, largest)
    finally:
        os.close(descriptor)


def _ignored(path: pathlib.Path, context: pathlib.Path) -> tuple[ignore.Ignore, problem.Problem | None]:
    """Return what is left out of the context: by ``NAME.dockerignore`` beside the Dockerfile, or its own file."""
    for file in (path.with_name(f"{path.name}.dockerignore"), context / ".dockerignore"):
        try:
            return ignore.parse(_read_most(file, _LARGEST_IGNORE)), None
        except FileNotFoundError:
            continue
        except OSError as error:
            return ignore.Ignore(), problem.Problem(str(file), 1, 1, f"it cannot be read: {error.strerror}")
        except ignore.BadPattern as error:
            return ignore.Ignore(), problem.Problem(str(file), error.line, 1, error.message)
    return ignore.Ignore(), None

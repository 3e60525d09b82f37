"""What ``build`` reads: Dockerfiles and what is left out of contexts; and what ``build --check`` says of them."""

import os
import pathlib
import sys
from typing import Self

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


@frozen.value
class Location:
    """Where a build's files are."""

    dockerfile: pathlib.Path
    context: pathlib.Path

    @classmethod
    def of(cls, path: str, file: str | None) -> Self:
        """Return where they are: a directory's Dockerfile, or a file that is named."""
        target = pathlib.Path(path)
        if file is not None:
            return cls(pathlib.Path(file), target)
        return cls(target / "Dockerfile", target) if target.is_dir() else cls(target, target.parent)

    def read(self) -> bytes:
        """Read the Dockerfile. Raises ``errors.InvalidArgument``."""
        try:
            return _read_most(self.dockerfile, lines.LARGEST + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "its name has a NUL"
            hint = "name the Dockerfile: trimtab build --file FILE PATH"
            raise errors.InvalidArgument(f"{self.dockerfile} cannot be read: {reason}", hint=hint) from error

    @property
    def ignore_file(self) -> pathlib.Path:
        """What says what is left out of the context: ``NAME.dockerignore`` beside the Dockerfile, or the context's."""
        own = self.dockerfile.with_name(f"{self.dockerfile.name}.dockerignore")
        return own if os.path.lexists(own) else self.context / ".dockerignore"

    def ignored(self) -> ignore.Ignore:
        """Read what is left out. Raises ``errors.InvalidArgument``, ``ignore.BadPattern``."""
        return _ignored(self.ignore_file)


def ignored_in(context: pathlib.Path) -> ignore.Ignore:
    """Read what is left out of another context. Raises ``errors.InvalidArgument``."""
    file = context / ".dockerignore"
    try:
        return _ignored(file)
    except ignore.BadPattern as error:
        raise errors.InvalidArgument(f"{file}:{error.line}: {error.message}") from error


def examine(path: str, file: str | None) -> Examination:
    """Read a Dockerfile and look at it. Raises ``InvalidArgument`` where it cannot be read."""
    where = Location.of(path, file)
    data = where.read()
    parsed = parse.parse(data)
    mistakes = [
        problem.Problem(str(where.dockerfile), *wrong.position, wrong.message, wrong.hint)
        for wrong in parsed.mistakes or soundness.mistakes(parsed)
    ]
    try:
        chosen = checks.choice(parsed.dockerfile.check)
    except ValueError as error:
        chosen = checks.Choice()
        mistakes.append(problem.Problem(str(where.dockerfile), 1, 1, f"the check directive: {error}"))
    patterns = ignore.Ignore()
    try:
        patterns = where.ignored()
    except ignore.BadPattern as error:
        mistakes.append(problem.Problem(str(where.ignore_file), error.line, 1, error.message))
    except errors.InvalidArgument as error:
        mistakes.append(problem.Problem(str(where.ignore_file), 1, 1, error.message))
    findings = () if mistakes else checks.check(parsed, chosen, patterns)
    return Examination(where.dockerfile, data, tuple(mistakes), findings)


def _ignored(file: pathlib.Path) -> ignore.Ignore:
    try:
        return ignore.parse(_read_most(file, _LARGEST_IGNORE))
    except FileNotFoundError:
        return ignore.Ignore()
    except OSError as error:
        raise errors.InvalidArgument(f"it cannot be read: {error.strerror}", hint=f"look at {file}") from error


def _read_most(path: pathlib.Path, largest: int) -> bytes:
    descriptor = files.open_regular(path)
    try:
        return files.read_most(descriptor, largest)
    finally:
        os.close(descriptor)

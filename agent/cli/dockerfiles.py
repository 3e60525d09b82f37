"""What ``build --check`` says of a Dockerfile."""

import pathlib
import sys

from agent import errors
from agent.cli import problems, terminal
from agent.dockerfile import checks, ignore, parse, soundness
from agent.kit import frozen
from agent.manifests import problem
from agent.runtime import build_files


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
    """Read a Dockerfile and look at it. Raises ``NotFound`` where it cannot be read."""
    where = build_files.Location.of(path, file)
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

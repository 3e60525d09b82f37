"""What ``build --check`` says of a Dockerfile."""

import sys

from agent import errors
from agent.cli import build_inputs, problems, terminal
from agent.dockerfile import checks, ignore, parse, soundness
from agent.kit import frozen
from agent.manifests import problem
from agent.runtime import build_files


@frozen.value
class Examination:
    """What was read of a Dockerfile, and what there is to say of it."""

    path: str
    data: bytes
    problems: tuple[problem.Problem, ...]
    findings: tuple[checks.Finding, ...]
    """Empty where there are problems."""

    def document(self) -> dict[str, object]:
        """Return it for programs."""
        return {
            "dockerfile": self.path,
            "problems": self.problems,
            "checks": [
                {"line": finding.position[0], "rule": finding.rule, "message": finding.message, "hint": finding.hint}
                for finding in self.findings
            ],
        }

    def show(self) -> None:
        """Print it for people, to stderr."""
        problems.show(self.problems, {self.path: self.data})
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
    """Read a Dockerfile and look at it. Raises as ``build_inputs.opened``."""
    with build_inputs.opened(path, file) as build:
        return _examination(build)


def _examination(build: build_inputs.Input) -> Examination:
    parsed = parse.parse(build.source)
    mistakes = [
        problem.Problem(build.shown, *wrong.position, wrong.message, wrong.hint)
        for wrong in parsed.mistakes or soundness.mistakes(parsed)
    ]
    try:
        chosen = checks.choice(parsed.dockerfile.check)
    except ValueError as error:
        chosen = checks.Choice()
        mistakes.append(problem.Problem(build.shown, 1, 1, f"the check directive: {error}"))
    patterns = ignore.Ignore()
    if build.context is not None:
        where = build_files.Location(build.dockerfile or build.context / build_files.DEFAULT_NAME, build.context)
        try:
            patterns = where.ignored()
        except ignore.BadPattern as error:
            mistakes.append(problem.Problem(str(where.ignore_file), error.line, 1, error.message))
        except errors.InvalidArgument as error:
            mistakes.append(problem.Problem(str(where.ignore_file), 1, 1, error.message))
    findings = () if mistakes else checks.check(parsed, chosen, patterns)
    return Examination(build.shown, build.source, tuple(mistakes), findings)

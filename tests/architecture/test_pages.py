"""What the pages tell people to type is there: commands, their flags, targets of make, and files that are linked."""

import pathlib
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from agent.cli import main

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "ops" / "docs"
TYPED = [
    ROOT / "README.md",
    ROOT / "manifests" / "README.md",
    *(DOCS / f"{name}.md" for name in ("install", "upgrade", "uninstall", "troubleshooting")),
]
"""Pages whose commands people copy."""
LINKING = [*TYPED, *sorted(DOCS.glob("*.md")), ROOT / "CONTRIBUTING.md"]


def _lines(page: pathlib.Path) -> Iterator[str]:
    """Yield what a page shows as typed: lines of shell blocks, and inline code."""
    text = page.read_text()
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        yield from (line.strip() for line in block.splitlines())
    yield from re.findall(r"`([^`\n]+)`", text)


def _calls(page: pathlib.Path, program: str) -> list[list[str]]:
    """Return the arguments of each call of a program, comments left out."""
    matches = (re.match(rf"(?:sudo )?{program} (.*)", line) for line in _lines(page))
    return [shlex.split(match[1], comments=True) for match in matches if match]


def _options(command: Any) -> dict[str, Any]:
    return {name: parameter for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def _spelled_out(word: str) -> list[str]:
    """Return the flags of a word: ``-it`` is two of them."""
    return [word.partition("=")[0]] if word.startswith("--") else [f"-{letter}" for letter in word[1:]]


def _unknown(command: Any, words: Sequence[str]) -> str:
    """Return the first command or flag that there is not; empty where all are."""
    for number, word in enumerate(words):
        options = _options(command)
        if word.startswith("-"):
            flags = [flag for flag in _spelled_out(word) if flag not in {"--help", "-h"}]
            missing = next((flag for flag in flags if flag not in options), "")
            if missing:
                return missing
            if flags and not options[flags[-1]].is_flag and "=" not in word:
                return _unknown(command, words[number + 2 :])  # what follows is its value
        elif hasattr(command, "list_commands"):
            subcommand = command.get_command(None, word)
            return word if subcommand is None else _unknown(subcommand, words[number + 1 :])
        elif command.name == "exec":
            return ""  # the rest is another program's
    return ""


@pytest.mark.parametrize("page", TYPED, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands__of_a_page__are_there_with_their_flags(page: pathlib.Path) -> None:
    root = main.build()
    calls = [words for words in _calls(page, "trimtab") if words[:1] != ["COMMAND"]]
    assert calls
    assert {shlex.join(words): _unknown(root, words) for words in calls if _unknown(root, words)} == {}


@pytest.mark.parametrize("words", [["bogus"], ["status", "--bogus"], ["--root", "/x", "logs", "-x", "web"]])
def test_commands__that_are_not_there__would_be_noticed(words: list[str]) -> None:
    assert _unknown(main.build(), words) in {"bogus", "--bogus", "-x"}


def test_targets_of_make__that_pages_name__are_there() -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {words[0] for page in LINKING for words in _calls(page, "make") if words}
    assert named - targets == set()


def _anchors(page: pathlib.Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links__between_pages__lead_somewhere() -> None:
    lost = []
    for page in LINKING:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if "://" not in link and (not target.exists() or (anchor and anchor not in _anchors(target))):
                lost.append(f"{page.relative_to(ROOT)}: {link}")
    assert lost == []


def test_pages__on_installing_and_after__are_linked_from_the_readme_and_each_other() -> None:
    names = ("install.md", "upgrade.md", "uninstall.md", "troubleshooting.md")
    readme = TYPED[0].read_text()
    assert all(f"(ops/docs/{name})" in readme for name in names)
    for name in names:
        text = (DOCS / name).read_text()
        assert all(f"({other}" in text for other in names if other != name), name


def test_readme__alias_for_what_make_run_runs__is_the_same_program_and_instance() -> None:
    makefile = (ROOT / "Makefile").read_text()
    variables = dict(re.findall(r"^([A-Z]+) := (.*)$", makefile, re.MULTILINE))
    alias = re.search(r'^alias trimtab="sudo \$PWD/(.*)"$', TYPED[0].read_text(), re.MULTILINE)
    assert alias is not None
    assert alias[1] == f"{variables['TRIMTAB']} {variables['STATE']}"

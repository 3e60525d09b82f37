"""The commands whose speed is measured are there, and so are the ones that they stand beside."""

from agent.cli import commands
from tests.benchmarks import command_figures


def test_commands__that_are_measured__exist() -> None:
    names = {entry.name for entry in commands.ENTRIES} | {"--help", "--version"}
    assert {command.ours[0] for command in command_figures.COMMANDS if command.ours} <= names


def test_commands__have_titles_of_their_own() -> None:
    titles = [command.title for command in command_figures.COMMANDS]
    assert len(set(titles)) == len(titles)
    assert "status (docker ps)" in titles

"""Flags of other programs' commands, each with what does its work here."""

import pytest

from agent.cli import commands, peers


@pytest.mark.parametrize("spelling", peers.FLAGS)
def test_flags__of_other_programs__are_none_of_ours(spelling: str) -> None:
    program, name, flag = spelling.split()
    assert program == peers.PROGRAM
    (entry,) = (entry for entry in commands.ENTRIES if entry.name == name)
    assert flag not in {option for parameter in commands.load(entry).params for option in parameter.opts}

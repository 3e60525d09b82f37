"""The identity of an instance is part of names and labels that outlive releases."""

import pathlib

from agent.kit import instance


def test_of__the_same_root__is_what_it_always_was() -> None:
    assert instance.of(pathlib.Path("/var/lib/trimtab")) == "8d185"


def test_of__another_root__is_another() -> None:
    assert instance.of(pathlib.Path("/var/lib/other")) != "8d185"

"""Ranges of versions: what npm's own semver says of some hundred of them (``node_semver/facts.js`` asks it)."""

import json
import pathlib

import pytest

from agent.oci import semver, versions

_KNOWN = json.loads((pathlib.Path(__file__).parent / "node_semver" / "facts.json").read_text())


def _matching(text: str) -> list[str] | None:
    try:
        parsed = semver.parse_range(text)
    except ValueError:
        return None
    return [
        version
        for version in _KNOWN["versions"]
        if (matching_version := _version(version)) and parsed.matches(matching_version)
    ]


def _version(text: str) -> semver.Version | None:
    try:
        return semver.parse(text)
    except ValueError:
        return None


def test_facts__are_many_and_of_both_kinds() -> None:
    answers = list(_KNOWN["facts"].values())
    assert len(answers) > 500
    assert min(answers.count(None), sum(bool(answer) for answer in answers)) > 50


@pytest.mark.parametrize("text", _KNOWN["facts"])
def test_range__is_what_npm_says(text: str) -> None:
    assert _matching(text) == _KNOWN["facts"][text]


def test_versions__are_those_of_npm_in_its_order() -> None:
    valid = [version for version in _KNOWN["versions"] if _version(version)]
    assert sorted(valid, key=semver.parse) == _KNOWN["ordered"]


@pytest.mark.parametrize("text", ["<2", ">= 1.4", "^ 1.2", "~> 1", "^v1.2", "1.0.0 - x"])
def test_track__as_npm_takes_it__is_taken(text: str) -> None:
    assert versions.newest(["1.28.0", "2.0.0-rc.1"], text) == "1.28.0"

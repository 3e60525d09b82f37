"""The version, for people and for programs."""

import json

import pytest
import yaml

import agent
from agent.cli import main


@pytest.mark.parametrize(
    ("words", "read"), [([], str.strip), (["-o", "json"], json.loads), (["--output", "yaml"], yaml.safe_load)]
)
def test_version__in_each_form__is_the_packages(
    words: list[str], read: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["version", *words]) == 0
    printed = capsys.readouterr().out
    assert callable(read)
    assert read(printed) == ({"version": agent.__version__} if words else agent.__version__)

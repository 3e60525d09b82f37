"""What git is told of a login: never on its command line."""

import pathlib
from typing import Any

import pytest

from agent import errors
from agent.engine.build import fetching
from agent.kit import processes


@pytest.mark.parametrize(
    ("url", "plain", "header"),
    [
        ("https://me:p%40ss@example.org:8443/a.git#v1", "https://example.org:8443/a.git", "bWU6cEBzcw=="),
        ("https://example.org/a.git", "https://example.org/a.git", ""),
        ("ssh://git@example.org/a.git", "ssh://git@example.org/a.git", ""),
    ],
)
async def test_fetched__with_a_login__is_told_by_a_variable_for_that_host(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, url: str, plain: str, header: str
) -> None:
    calls: list[tuple[list[str], Any]] = []

    async def run(argv: list[str], options: processes.Options) -> processes.Completed:
        calls.append((argv, options.env))
        return processes.Completed(tuple(argv), 1 if "fetch" in argv else 0, b"", b"refused")

    monkeypatch.setattr(processes, "run", run)
    with pytest.raises(errors.Unavailable) as failure:
        await fetching.Fetcher(1000).fetched(url, tmp_path, fetching.Wishes())
    assert "p%40ss" not in str(failure.value)
    words, environment = calls[-1]
    assert plain in words
    assert not any("p%40ss" in word for word in words)
    assert environment.get("GIT_CONFIG_VALUE_0", "") == (f"Authorization: Basic {header}" if header else "")
    if header:
        assert environment["GIT_CONFIG_KEY_0"] == "http.https://example.org:8443/.extraHeader"

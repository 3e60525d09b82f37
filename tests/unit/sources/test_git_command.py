"""What git is told whenever we run it, asked of git itself: nothing of a user, a server or a URL talks it into more."""

import pathlib

import pytest

from agent.sources import api, git_command, git_location

REMOTE = git_command.CommandOptions(timeout=20.0, remote=True)
HOST = "git.example.org"


@pytest.fixture
def git(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> git_command.Git:
    """Git for a repository with a password, for a user whose configuration allows everything."""
    config = tmp_path / "gitconfig"
    config.write_text(
        "[transfer]\n\tbundleURI = true\n[core]\n\taskPass = /bin/true\n\thooksPath = /nowhere\n"
        '[submodule]\n\trecurse = true\n[fetch]\n\trecurseSubmodules = true\n[filter "lfs"]\n\tprocess = lfs\n'
        f'[credential]\n\thelper = "!echo password=of-the-user; echo username=user; touch {tmp_path}/helper-asked;:"\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "1")
    monkeypatch.setenv("GIT_ASKPASS", "/bin/true")
    return _git(tmp_path, f"git+https://me:s3cret@{HOST}/fleet")


def _git(folder: pathlib.Path, source: str) -> git_command.Git:
    return git_command.Git(git_location.parse(source), folder / "git", folder / "tree")


def _asking(text: str) -> git_command.CommandOptions:
    return git_command.CommandOptions(timeout=20.0, remote=True, stdin=text.encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("transfer.bundleURI", "false"),  # CVE-2025-48385: a server names where a bundle is, and what is written
        ("submodule.recurse", "false"),  # CVE-2019-1387: a submodule's name leads into another one's .git
        ("fetch.recurseSubmodules", "false"),
        ("filter.lfs.process", ""),  # CVE-2021-21300: a filter puts off what is written, past a link
        ("core.hooksPath", "/dev/null"),
        ("fetch.fsckObjects", "true"),
    ],
)
async def test_setting__whatever_the_user_has_set__is_ours(git: git_command.Git, name: str, value: str) -> None:
    assert (await git.run(REMOTE, "config", "--get", name)).decode() == f"{value}\n"


async def test_password__is_for_the_host_that_it_was_written_for(git: git_command.Git, tmp_path: pathlib.Path) -> None:
    answer = await git.run(_asking(f"protocol=https\nhost={HOST}\n\n"), "credential", "fill")
    assert b"password=s3cret" in answer
    assert not (tmp_path / "helper-asked").exists()
    answer = await git.run(_asking("protocol=https\nhost=evil.example\n\n"), "credential", "fill")
    assert b"s3cret" not in answer


@pytest.mark.parametrize("url", [f"https://evil.example%0ahost={HOST}/", f"https://evil.example/%0ahost={HOST}"])
async def test_password__a_url_with_a_line_end_in_it__gets_none(git: git_command.Git, url: str) -> None:
    """CVE-2020-5260, CVE-2020-11008: what stood behind the line end was another host."""
    with pytest.raises(api.SourceUnavailable, match=r"cannot be parsed|newline") as caught:
        await git.run(_asking(f"url={url}\n\n"), "credential", "fill")
    assert "s3cret" not in str(caught.value)


async def test_password__nobody_has_one__nobody_is_asked(tmp_path: pathlib.Path, monkeypatch) -> None:
    """CVE-2024-50349: a prompt shows a host as the URL writes it, and whoever reads it types a password."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "1")
    with pytest.raises(api.SourceUnavailable, match="could not read Username"):
        await _git(tmp_path, f"git+https://{HOST}/fleet").run(
            _asking(f"protocol=https\nhost={HOST}\n\n"), "credential", "fill"
        )

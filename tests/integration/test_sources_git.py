"""A git repository as a source, with the real git."""

import asyncio
import os
import pathlib
import shutil
import subprocess

import pytest

from agent.sources import api, directory, git, git_location, locate


class Repository:
    """A repository that tests commit to."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        """Run git in it and give what it prints."""
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", "-C", self.path, *identity, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, **contents: str) -> str:
        """Commit files (``sub__web`` is ``sub/web.yaml``) and give the commit."""
        for name, text in contents.items():
            path = self.path / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def checkouts(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "sources"


def _source(repository: Repository, checkouts: pathlib.Path, rest: str = "", *, prefer: bool = False) -> git.GitSource:
    location = git_location.parse(f"git+file://{repository.path}{rest}")
    return git.GitSource(location, checkouts, prefer_checkout=prefer)


def _contents(snapshot: api.SourceSnapshot) -> dict[str, str]:
    return {file.path: file.problem or file.data.decode() for file in snapshot.files}


async def test_snapshot__default_branch__gives_the_commit_and_its_files(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    commit = repository.commit(web="1", sub__db="2")
    snapshot = await _source(repository, checkouts).snapshot()
    assert snapshot.revision == commit
    assert _contents(snapshot) == {"sub/db.yaml": "2", "web.yaml": "1"}


async def test_snapshot__branch_tag_commit_and_subpath__are_each_found(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    first = repository.commit(web="1", sub__db="1")
    repository.git("tag", "light")
    repository.git("tag", "--annotate", "--message=x", "v1")
    repository.git("checkout", "--quiet", "-b", "edge/two")
    second = repository.commit(web="2")
    repository.git("checkout", "--quiet", "main")
    repository.commit(web="3")
    for rest, revision, expected in (
        ("#edge/two", second, {"web.yaml": "2", "sub/db.yaml": "1"}),
        ("#v1", first, {"web.yaml": "1", "sub/db.yaml": "1"}),
        ("#light", first, {"web.yaml": "1", "sub/db.yaml": "1"}),
        (f"#{first}", first, {"web.yaml": "1", "sub/db.yaml": "1"}),
        ("#refs/heads/edge/two:sub", second, {"sub/db.yaml": "1"}),
        ("#edge/two:web.yaml", second, {"web.yaml": "2"}),
    ):
        snapshot = await _source(repository, checkouts, rest).snapshot()
        assert (snapshot.revision, _contents(snapshot)) == (revision, expected), rest


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("#gone", "no branch or tag 'gone'"),
        ("#main:gone", "has no 'gone' at"),
        (
            "#0123456789012345678901234567890123456789",
            "the repository has no commit 0123456789",
        ),
    ],
)
async def test_snapshot__what_is_not_there__is_unavailable(
    repository: Repository, checkouts: pathlib.Path, rest: str, message: str
) -> None:
    repository.commit(web="1")
    with pytest.raises(api.SourceUnavailable, match=f"(?i){message}"):
        await _source(repository, checkouts, rest).snapshot()


async def test_snapshot__an_empty_repository__is_unavailable_and_not_empty(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    with pytest.raises(api.SourceUnavailable, match=r"has no commits \(push a first commit\)"):
        await _source(repository, checkouts).snapshot()


async def test_snapshot__a_server_that_does_not_answer__is_unavailable_without_the_password(
    checkouts: pathlib.Path,
) -> None:
    location = git_location.parse("git+https://me:s3cret@127.0.0.1:1/fleet.git")
    source = git.GitSource(location, checkouts, prefer_checkout=False)
    with pytest.raises(api.SourceUnavailable, match=r"127\.0\.0\.1") as caught:
        await source.snapshot()
    assert "s3cret" not in str(caught.value)


async def test_changes__a_new_commit__is_hinted_and_unchanged_files_stay_as_they_were(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    repository.commit(web="1", same="same")
    source = _source(repository, checkouts, "?interval=1s#main")
    first = await source.snapshot()
    archive = pathlib.Path(first.files[0].directory, "same.yaml")
    before = api.stamp([str(archive)])
    second = repository.commit(web="2")
    async with asyncio.timeout(10):
        await anext(source.changes())
    snapshot = await source.snapshot()
    assert (snapshot.revision, _contents(snapshot)) == (second, {"same.yaml": "same", "web.yaml": "2"})
    assert api.stamp([str(archive)]) == before


async def test_changes__a_file_leaves_the_repository__leaves_the_checkout(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    repository.commit(web="1", gone="1")
    assert set(_contents(await _source(repository, checkouts).snapshot())) == {"gone.yaml", "web.yaml"}
    repository.git("rm", "--quiet", "gone.yaml")
    repository.commit()
    assert set(_contents(await _source(repository, checkouts).snapshot())) == {"web.yaml"}


async def test_changes__history_is_rewritten__is_followed(repository: Repository, checkouts: pathlib.Path) -> None:
    repository.commit(web="1")
    await _source(repository, checkouts).snapshot()
    repository.git("commit", "--quiet", "--amend", "--message=other")
    assert (await _source(repository, checkouts).snapshot()).revision == repository.git("rev-parse", "HEAD")


async def test_changes__the_server_goes_and_returns__each_is_hinted_once(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    commit = repository.commit(web="1")
    source = _source(repository, checkouts, "?interval=1s")
    await source.snapshot()
    away = repository.path.with_name("away")
    hints = source.changes()
    repository.path.rename(away)
    async with asyncio.timeout(15):
        await anext(hints)
        with pytest.raises(api.SourceUnavailable):
            await source.snapshot()
        away.rename(repository.path)
        await anext(hints)
    assert (await source.snapshot()).revision == commit


async def test_snapshot__a_start_without_network__gives_what_was_fetched_before(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    commit = repository.commit(web="1")
    await _source(repository, checkouts).snapshot()
    shutil.rmtree(repository.path)
    assert (await _source(repository, checkouts, prefer=True).snapshot()).revision == commit
    with pytest.raises(api.SourceUnavailable):
        await _source(repository, checkouts).snapshot()


async def test_snapshot__an_earlier_run_was_killed_half_way__mends_itself(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    commit = repository.commit(web="1")
    await _source(repository, checkouts).snapshot()
    (directory_of_checkout,) = checkouts.iterdir()
    (directory_of_checkout / "commit").unlink()
    (directory_of_checkout / "tree" / "web.yaml").write_text("half")
    (directory_of_checkout / "git" / "index.lock").touch()
    snapshot = await _source(repository, checkouts, prefer=True).snapshot()
    assert (snapshot.revision, _contents(snapshot)) == (commit, {"web.yaml": "1"})


async def test_snapshot__a_broken_checkout__is_fetched_anew(repository: Repository, checkouts: pathlib.Path) -> None:
    repository.commit(web="1")
    await _source(repository, checkouts).snapshot()
    (directory_of_checkout,) = checkouts.iterdir()
    for path in (directory_of_checkout / "git" / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"")
    commit = repository.commit(web="2")
    snapshot = await _source(repository, checkouts).snapshot()
    assert (snapshot.revision, _contents(snapshot)) == (commit, {"web.yaml": "2"})


async def test_snapshot__hostile_symlinks__are_not_followed_out(
    repository: Repository, checkouts: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "secret.yaml").write_text("secret")
    (repository.path / "absolute.yaml").symlink_to(tmp_path / "secret.yaml")
    (repository.path / "relative.yaml").symlink_to("../../../secret.yaml")
    (repository.path / "hop").symlink_to("/")
    (repository.path / "chained.yaml").symlink_to(f"hop{tmp_path}/secret.yaml")
    (repository.path / "inside.yaml").symlink_to("sub/db.yaml")
    (repository.path / "dangling.yaml").symlink_to("nowhere")
    repository.commit(sub__db="1")
    refused = "this symlink leaves the repository: it is not read"
    assert _contents(await _source(repository, checkouts).snapshot()) == {
        "absolute.yaml": refused,
        "chained.yaml": refused,
        "dangling.yaml": "this symlink points to nothing",
        "inside.yaml": "1",
        "relative.yaml": refused,
        "sub/db.yaml": "1",
    }


async def test_snapshot__hooks_submodules_and_filters_of_a_repository__do_not_run(
    repository: Repository, checkouts: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = tmp_path / "proof"
    hook = tmp_path / "hooks" / "post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {proof}\n")
    hook.chmod(0o755)
    configuration = tmp_path / "gitconfig"
    configuration.write_text(
        f'[core]\nhooksPath = {hook.parent}\n[filter "lfs"]\nsmudge = touch {proof}\nrequired = true\n'
        "[submodule]\nrecurse = true\n"
    )
    other = Repository(tmp_path / "other")
    other.commit(sub="1")
    repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.path), "module")
    (repository.path / ".gitattributes").write_text("*.yaml filter=lfs\n")
    repository.commit(web="1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert _contents(await _source(repository, checkouts).snapshot()) == {"web.yaml": "1"}
    assert not proof.exists()


async def test_snapshot__the_password__never_stands_on_a_command_line_or_on_disk(
    tmp_path: pathlib.Path, checkouts: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\nexec {shutil.which("git")} "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
    location = git_location.parse("git+https://me:s3cret@127.0.0.1:1/fleet.git")
    with pytest.raises(api.SourceUnavailable):
        await git.GitSource(location, checkouts, prefer_checkout=False).snapshot()
    assert "ls-remote" in (tmp_path / "arguments").read_text()
    assert "s3cret" not in (tmp_path / "arguments").read_text()
    assert not any(b"s3cret" in path.read_bytes() for path in checkouts.rglob("*") if path.is_file())


async def test_snapshot__two_processes_use_one_checkout__each_gets_a_whole_one(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    commit = repository.commit(**{f"file{number}": "1" for number in range(50)})
    sources = [_source(repository, checkouts) for _ in range(4)]
    found = await asyncio.gather(*(source.snapshot() for source in sources))
    assert {(snapshot.revision, len(snapshot.files)) for snapshot in found} == {(commit, 50)}


async def test_snapshot__many_updates__the_repository_does_not_grow_without_end(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    for number in range(8):
        repository.commit(web=str(number))
        await _source(repository, checkouts).snapshot()
    (directory_of_checkout,) = checkouts.iterdir()
    count = subprocess.run(
        ["git", "--git-dir", directory_of_checkout / "git", "rev-list", "--count", "HEAD"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert count.strip() == "1"


def test_locate__git__keeps_its_checkout_where_it_is_told(checkouts: pathlib.Path) -> None:
    source = locate.locate("git+/srv/fleet", checkouts, rhythm=directory.Rhythm())
    assert source.name == "git+file:///srv/fleet"
    assert not checkouts.exists()

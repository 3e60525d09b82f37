"""A git repository as a source, with the real git."""

import asyncio
import contextlib
import os
import pathlib
import shutil
import subprocess

import pytest

from agent.model import external_input
from agent.sources import api, directory, external_inputs, files, git, git_location, limits, locate


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


def _source(
    repository: Repository,
    checkouts: pathlib.Path,
    suffix: str = "",
    *,
    prefer: bool = False,
    most: limits.Limits = limits.DEFAULT,
) -> git.GitSource:
    location = git_location.parse(f"git+file://{repository.path}{suffix}")
    return git.GitSource(location, checkouts, prefer_checkout=prefer, limits=most)


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
    for suffix, revision, expected in (
        ("#edge/two", second, {"web.yaml": "2", "sub/db.yaml": "1"}),
        ("#v1", first, {"web.yaml": "1", "sub/db.yaml": "1"}),
        ("#light", first, {"web.yaml": "1", "sub/db.yaml": "1"}),
        (f"#{first}", first, {"web.yaml": "1", "sub/db.yaml": "1"}),
        ("#refs/heads/edge/two:sub", second, {"sub/db.yaml": "1"}),
        ("#edge/two:web.yaml", second, {"web.yaml": "2"}),
    ):
        snapshot = await _source(repository, checkouts, suffix).snapshot()
        assert (snapshot.revision, _contents(snapshot)) == (revision, expected), suffix


@pytest.mark.parametrize(
    ("suffix", "message"),
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
    repository: Repository, checkouts: pathlib.Path, suffix: str, message: str
) -> None:
    repository.commit(web="1")
    with pytest.raises(api.SourceUnavailable, match=f"(?i){message}"):
        await _source(repository, checkouts, suffix).snapshot()


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
    declared = external_input.ExternalInput(external_input.InputKind.ARCHIVE, str(archive))
    before = external_inputs.read([declared])
    assert before[declared].fingerprint
    second = repository.commit(web="2")
    async with asyncio.timeout(10):
        await anext(source.changes())
    snapshot = await source.snapshot()
    assert (snapshot.revision, _contents(snapshot)) == (second, {"same.yaml": "same", "web.yaml": "2"})
    assert external_inputs.read([declared]) == before


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
        "dangling.yaml": files.DANGLING,
        "hop": refused,
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
    assert _contents(await _source(repository, checkouts).snapshot()) == {
        "module": "this is a submodule: it is not fetched, and nothing in it is read",
        "web.yaml": "1",
    }
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
    snapshots = await asyncio.gather(*(source.snapshot() for source in sources))
    assert {(snapshot.revision, len(snapshot.files)) for snapshot in snapshots} == {(commit, 50)}


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
    source = locate.locate("git+/srv/fleet", checkouts, locate.Options())
    assert source.name == "git+file:///srv/fleet"
    assert not checkouts.exists()


async def test_snapshot__linked_directories__are_followed_inside_the_tree_as_a_directory_source_does(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    (repository.path / "hosts").mkdir()
    (repository.path / "hosts" / "edge").symlink_to("../common/base")
    (repository.path / "shared").symlink_to("common")
    (repository.path / "common").mkdir()
    (repository.path / "common" / "up").symlink_to("..")
    (repository.path / "common" / "self").symlink_to(".")
    repository.commit(common__base__db="1", web="2")
    contents = _contents(await _source(repository, checkouts).snapshot())
    plain = directory.DirectorySource(str(repository.path))
    expected = {
        file.path.removeprefix(f"{repository.path}/"): file.data.decode() for file in (await api.settled(plain)).files
    }
    assert contents == expected == {"common/base/db.yaml": "1", "web.yaml": "2"}
    linked = await _source(repository, checkouts, "#main:hosts/edge").snapshot()
    assert _contents(linked) == {"hosts/edge/db.yaml": "1"}
    assert linked.files[0].directory.endswith("/tree/hosts/edge")
    assert pathlib.Path(linked.files[0].directory, "db.yaml").read_text() == "1"


async def test_snapshot__links_in_a_circle_or_out_of_the_tree_or_to_nothing__are_told_wherever_they_stand(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    (repository.path / "a").symlink_to("b")
    (repository.path / "b").symlink_to("a")
    (repository.path / "etc").symlink_to("/etc")
    (repository.path / "above").symlink_to("../..")
    (repository.path / "hosts").symlink_to("nowhere/hosts")
    repository.commit(web="1")
    circle = "this symlink leads round in a circle"
    outside = "this symlink leaves the repository: it is not read"
    expected = {"a": circle, "b": circle, "etc": outside, "above": outside, "hosts": files.DANGLING, "web.yaml": "1"}
    assert _contents(await _source(repository, checkouts).snapshot()) == expected
    assert _contents(await _source(repository, checkouts, "#main:etc").snapshot()) == {"etc": outside}


async def test_snapshot__the_checkout_is_changed_by_somebody__declares_what_the_commit_does(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    repository.commit(web="1", db="2")
    source = _source(repository, checkouts)
    tree = pathlib.Path((await source.snapshot()).files[0].directory)
    inode = tree.stat().st_ino
    (tree / "web.yaml").write_text("evil")
    (tree / "db.yaml").unlink()
    (tree / "more.yaml").write_text("evil")
    second_source = _source(repository, checkouts, prefer=True)
    assert _contents(await second_source.snapshot()) == {"db.yaml": "2", "web.yaml": "1"}
    commit = repository.commit(other="3")
    fresh = await _source(repository, checkouts).snapshot()
    assert (fresh.revision, fresh.atomic) == (commit, True)
    assert _contents(fresh) == {"db.yaml": "2", "other.yaml": "3", "web.yaml": "1"}
    assert (tree / "web.yaml").read_text() == "1"
    assert (tree / "db.yaml").read_text() == "2"
    assert tree.stat().st_ino == inode


async def test_snapshot__attributes_of_the_repository__change_nothing_of_what_is_read(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    (repository.path / ".gitattributes").write_text("*.yaml text eol=crlf ident working-tree-encoding=UTF-16\n")
    blob = repository.git("hash-object", "-w", "--no-filters", "/proc/self/cmdline")
    repository.git("update-index", "--add", "--cacheinfo", f"100644,{blob},plain.txt")
    (repository.path / "web.yaml").write_bytes("a: $Id$\nb: 1\n".encode("utf-16"))
    repository.git("add", "web.yaml", ".gitattributes")
    repository.git("commit", "--quiet", "--message=x")
    snapshot = await _source(repository, checkouts).snapshot()
    assert _contents(snapshot) == {"web.yaml": "a: $Id$\nb: 1\n"}
    assert pathlib.Path(snapshot.files[0].directory, "web.yaml").read_bytes() == snapshot.files[0].data


async def test_snapshot__a_small_repository_of_a_huge_file__is_refused_before_it_fills_the_disk(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    first = repository.commit(web="1")
    most = limits.Limits(checkout=64 * 1024**2)
    source = _source(repository, checkouts, "?interval=1s", most=most)
    await source.snapshot()
    with (repository.path / "huge").open("wb") as file:
        for _ in range(100):
            file.write(b"a" * 1024**2)
    repository.commit(web="2")
    hints = source.changes()
    async with asyncio.timeout(15):
        await anext(hints)
        with pytest.raises(api.SourceUnavailable, match=r"are 100 MiB, the limit is 64 MiB \(raise source.checkout"):
            await source.snapshot()
        await anext(hints)  # it is not fetched again
    used = sum(path.stat().st_blocks * 512 for path in checkouts.rglob("*") if path.is_file())
    assert used < 4 * 1024**2
    kept = await _source(repository, checkouts, prefer=True, most=most).snapshot()
    assert (kept.revision, _contents(kept)) == (first, {"web.yaml": "1"})


async def test_snapshot__a_pack_that_is_larger_than_allowed__is_cut_off_and_nothing_of_it_stays(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    (repository.path / "noise").write_bytes(os.urandom(8 * 1024**2))
    repository.commit(web="1")
    source = _source(repository, checkouts, most=limits.Limits(fetch=1024**2))
    with pytest.raises(api.SourceUnavailable, match=r"more than 1 MiB were to be written \(see source.fetch"):
        await source.snapshot()
    used = sum(path.stat().st_blocks * 512 for path in checkouts.rglob("*") if path.is_file())
    assert used < 256 * 1024


@pytest.mark.parametrize(
    ("most", "message"),
    [
        (limits.Limits(files=2), "more than 2 manifests"),
        (limits.Limits(total=100), "more than 2"),
        (limits.Limits(entries=3), "more than 3 files"),
    ],
)
async def test_snapshot__more_than_the_settings_allow__is_unavailable(
    repository: Repository, checkouts: pathlib.Path, most: limits.Limits, message: str
) -> None:
    repository.commit(a="1" * 40, b="2" * 40, sub__c="3" * 40)
    if most.total == 100:
        message = "or 0 MiB"
    with pytest.raises(api.SourceUnavailable, match=message):
        await _source(repository, checkouts, most=most).snapshot()


async def test_snapshot__a_tree_of_billions_of_entries__ends_soon(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    blob = repository.git("hash-object", "-w", "--stdin-paths")
    path = repository.path / "x.yaml"
    path.write_text("1")
    blob = repository.git("hash-object", "-w", str(path))
    lines = "".join(f"100644 blob {blob}\t{number}.yaml\n" for number in range(10))
    for _ in range(10):
        completed = subprocess.run(
            ["git", "-C", repository.path, "mktree"], input=lines, check=True, capture_output=True, text=True
        )
        lines = "".join(f"040000 tree {completed.stdout.strip()}\t{number}\n" for number in range(10))
    tree = subprocess.run(
        ["git", "-C", repository.path, "mktree"], input=lines, check=True, capture_output=True, text=True
    ).stdout.strip()
    commit = repository.git("commit-tree", "-m", "bomb", tree)
    repository.git("update-ref", "refs/heads/main", commit)
    with pytest.raises(api.SourceUnavailable):
        await _source(repository, checkouts).snapshot()


async def test_snapshot__names_with_newlines_and_other_bytes__are_read(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    for name in ("a\nb.yaml", "-rf.yaml", "tab\t.yaml", "\udcff.yaml", "*.yaml", "$(id).yaml", ":(top).yaml"):
        (repository.path / name).write_text(ascii(name))
    repository.commit()
    contents = _contents(await _source(repository, checkouts).snapshot())
    assert len(contents) == 7
    assert all(ascii(name) == text for name, text in contents.items())


async def test_forget__after_delete__nothing_of_the_repository_is_left(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    repository.commit(web="1")
    source = _source(repository, checkouts)
    await source.snapshot()
    assert list(checkouts.iterdir())
    await source.forget()
    assert list(checkouts.iterdir()) == []
    await source.forget()


async def test_snapshot__a_commit_that_the_disk_does_not_take__leaves_the_last_one_whole(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    first = repository.commit(web="1", db="2")
    tree = pathlib.Path((await _source(repository, checkouts).snapshot()).files[0].directory)
    blob = repository.git("hash-object", "-w", str(repository.path / "web.yaml"))
    listing = f"100644 blob {blob}\t{'n' * 300}.yaml\n100644 blob {blob}\tother.yaml\n"
    completed = subprocess.run(
        ["git", "-C", repository.path, "mktree"], input=listing, check=True, capture_output=True, text=True
    )
    repository.git("update-ref", "refs/heads/main", repository.git("commit-tree", "-m", "x", completed.stdout.strip()))
    with pytest.raises(api.SourceUnavailable, match=r"too long"):
        await _source(repository, checkouts).snapshot()
    kept = await _source(repository, checkouts, prefer=True).snapshot()
    assert (kept.revision, _contents(kept)) == (first, {"db.yaml": "2", "web.yaml": "1"})
    assert [(tree / name).read_text() for name in ("db.yaml", "web.yaml")] == ["2", "1"]


async def test_snapshot__links_that_lead_out__are_not_put_on_disk_where_a_bind_would_follow_them(
    repository: Repository, checkouts: pathlib.Path
) -> None:
    names = (".root", "[a] b*", "line\nend", "back\\slash", "sub/.up", "!x", "#y", "end ")
    (repository.path / "sub").mkdir()
    for name in names:
        (repository.path / name).symlink_to("../../../.." if name == "sub/.up" else "/")
    (repository.path / ".inside").symlink_to("sub/db.yaml")
    (repository.path / "[a] bc").write_text("stays")
    repository.commit(sub__db="1")
    with contextlib.suppress(api.SourceUnavailable):
        await _source(repository, checkouts).snapshot()
    (tree,) = checkouts.glob("*/tree")
    present = {str(path.relative_to(tree)) for path in tree.rglob("*")}
    assert present == {".inside", "[a] bc", "sub", "sub/db.yaml"}
    for name in names:
        (repository.path / name).unlink()
        (repository.path / name).write_text("a file now")
    repository.commit()
    await _source(repository, checkouts).snapshot()
    assert all((tree / name).read_text() == "a file now" for name in names)


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", ".git\u200c"])
async def test_snapshot__a_tree_that_writes_into_gits_own_directory__is_refused(
    repository: Repository, checkouts: pathlib.Path, name: str
) -> None:
    first = repository.commit(web="1")
    await _source(repository, checkouts).snapshot()
    blob = repository.git("hash-object", "-w", str(repository.path / "web.yaml"))

    def tree(listing: str) -> str:
        return subprocess.run(
            ["git", "-C", repository.path, "mktree"], input=listing, check=True, capture_output=True, text=True
        ).stdout.strip()

    inner = tree(f"100755 blob {blob}\tpost-checkout\n100644 blob {blob}\tconfig\n")
    outer = tree(f"040000 tree {inner}\t{name}\n100644 blob {blob}\tweb.yaml\n")
    repository.git("update-ref", "refs/heads/main", repository.git("commit-tree", "-m", "x", outer))
    with pytest.raises(api.SourceUnavailable):
        await _source(repository, checkouts).snapshot()
    kept = await _source(repository, checkouts, prefer=True).snapshot()
    assert (kept.revision, _contents(kept)) == (first, {"web.yaml": "1"})
    (tree_on_disk,) = checkouts.glob("*/tree")
    assert [path.name for path in tree_on_disk.iterdir()] == ["web.yaml"]

"""Repositories that attack whoever reads them, as the CVEs of git did it."""

import contextlib
import os
import pathlib
import subprocess
import threading

import pytest

from agent.model.external_input import ExternalInput, InputKind
from agent.sources import api, external_inputs, git, git_location, limits


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> pathlib.Path:
    """A repository with one manifest."""
    path = tmp_path / "repository"
    path.mkdir()
    _git(path, "init", "--quiet", "--initial-branch=main")
    (path / "web.yaml").write_text("1")
    _git(path, "add", "--all")
    _git(path, "commit", "--quiet", "--message=change")
    return path


def _git(path: pathlib.Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    words = ["git", "-C", path, *identity, *arguments]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def _source(repository: pathlib.Path, tmp_path: pathlib.Path) -> git.GitSource:
    location = git_location.parse(f"git+file://{repository}")
    return git.GitSource(location, tmp_path / "sources", prefer_checkout=False, limits=limits.DEFAULT)


@pytest.mark.root
@pytest.mark.parametrize("hooks", [False, True])
async def test_repository_of_another_user__is_not_believed(repository, tmp_path, monkeypatch, hooks: bool) -> None:
    """CVE-2022-24765, CVE-2024-32465: its configuration and hooks would be run by root."""
    proof = tmp_path / "proof"
    if hooks:
        for name in ("post-checkout", "post-upload-pack", "reference-transaction"):
            hook = repository / ".git/hooks" / name
            hook.write_text(f"#!/bin/sh\ntouch {proof}\n")
            hook.chmod(0o755)
        _git(repository, "config", "uploadpack.packObjectsHook", f"touch {proof};")
    for folder, _, files in os.walk(repository):
        for name in (folder, *(f"{folder}/{file}" for file in files)):
            os.chown(name, 65534, 65534)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    with pytest.raises(api.SourceUnavailable, match="dubious ownership") as caught:
        await _source(repository, tmp_path).snapshot()
    assert "safe.directory" in caught.value.hint
    assert not proof.exists()


async def test_promised_objects__are_fetched_by_no_program_of_the_repository(repository, tmp_path) -> None:
    """CVE-2024-32004: what a partial repository lacks is fetched as its configuration says, which may be a command."""
    proof = tmp_path / "proof"
    blob = _git(repository, "rev-parse", "HEAD:web.yaml")
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    for name, value in (
        ("core.repositoryformatversion", "1"),
        ("extensions.partialClone", "evil"),
        ("remote.evil.url", f"ext::sh -c touch% {proof}"),
        ("remote.evil.promisor", "true"),
        ("protocol.ext.allow", "always"),
    ):
        _git(repository, "config", name, value)
    with pytest.raises(api.SourceUnavailable):
        await _source(repository, tmp_path).snapshot()
    assert not proof.exists()


async def test_links_among_the_objects__bring_no_file_of_the_host(repository, tmp_path) -> None:
    """CVE-2022-39253: a local clone followed them, and what they lead to was in the copy."""
    secret = tmp_path / "secret"
    secret.write_text("secret of the host")
    (repository / ".git/objects/secret").symlink_to(secret)
    (repository / ".git/objects/info/more").symlink_to(tmp_path)
    snapshot = await _source(repository, tmp_path).snapshot()
    assert [file.path for file in snapshot.files] == ["web.yaml"]
    kept = [path for path in (tmp_path / "sources").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"secret of the host" in path.read_bytes()]


async def test_link_in_place_of_the_objects__brings_no_file_of_the_host(repository, tmp_path) -> None:
    """CVE-2023-22490: the folder of the objects itself was the link, and all that it leads to was in the copy."""
    host = tmp_path / "host"
    (repository / ".git/objects").rename(host)
    (host / "secret").write_text("secret of the host")
    (host / "pack" / "secret.pack").write_text("secret of the host")
    (repository / ".git/objects").symlink_to(host)
    with contextlib.suppress(api.SourceUnavailable):
        await _source(repository, tmp_path).snapshot()
    kept = [path for path in (tmp_path / "sources").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"secret of the host" in path.read_bytes()]


async def test_submodule__whose_path_leads_into_the_repositorys_own_folder__runs_no_hook(repository, tmp_path) -> None:
    """CVE-2024-32002, CVE-2025-48384: a link to ``.git`` beside a submodule, its path ending by a carriage return."""
    proof, module = tmp_path / "proof", tmp_path / "module"
    module.mkdir()
    _git(module, "init", "--quiet", "--initial-branch=main")
    (module / "hooks").mkdir()
    (module / "hooks/post-checkout").write_text(f"#!/bin/sh\ntouch {proof}\n")
    (module / "hooks/post-checkout").chmod(0o755)
    _git(module, "add", "--all")
    _git(module, "commit", "--quiet", "--message=hook")
    commit = _git(module, "rev-parse", "HEAD")
    (repository / ".gitmodules").write_text(f'[submodule "x/y"]\n\tpath = "A/modules/x\\r"\n\turl = file://{module}\n')
    (repository / "a").symlink_to(".git")
    _git(repository, "add", ".gitmodules", "a")
    _git(repository, "update-index", "--add", "--cacheinfo", f"160000,{commit},A/modules/x")
    _git(repository, "commit", "--quiet", "--message=evil")
    snapshot = await _source(repository, tmp_path).snapshot()
    assert {file.path: file.data for file in snapshot.files if not file.problem} == {"web.yaml": b"1"}
    assert not proof.exists()


async def test_directories_turned_into_links__lead_no_file_out_of_the_tree(repository, tmp_path) -> None:
    """A container with a writable bind of the tree: nothing that is written or removed follows its links."""
    for name in ("d/e/old.yaml", "d/e/same.yaml", "f/x.yaml"):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("1")
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message=change")
    await _source(repository, tmp_path).snapshot()
    (tree,) = (tmp_path / "sources").glob("*/tree")
    host = tmp_path / "host"
    host.mkdir()
    (host / "old.yaml").write_text("of the host")
    (tree / "d/e").rename(tree / "moved")
    (tree / "d/e").symlink_to(host)
    (repository / "d/e/old.yaml").unlink()
    (repository / "d/e/new.yaml").write_text("2")
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message=change")
    await _source(repository, tmp_path).snapshot()
    assert [(path.name, path.read_text()) for path in host.iterdir()] == [("old.yaml", "of the host")]
    assert (tree / "d/e").is_dir() and not (tree / "d/e").is_symlink()  # noqa: PT018 - one claim
    assert (tree / "d/e/new.yaml").read_text() == "2"


async def test_directory_turned_into_a_link_at_every_moment__leads_no_file_out(repository, tmp_path) -> None:
    """The race: whatever is opened, written or renamed in the tree, the directory is a link just before."""
    (repository / "d").mkdir()
    await _source(repository, tmp_path).snapshot()
    (tree,) = (tmp_path / "sources").glob("*/tree")
    for number in range(30):
        (repository / f"d/{number}.yaml").write_text("2")
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message=change")
    host = tmp_path / "host"
    host.mkdir()
    stop = threading.Event()

    def exchange() -> None:
        while not stop.wait(0.0005):
            with contextlib.suppress(OSError):
                if (tree / "d").is_symlink():
                    (tree / "d").unlink()
                    (tree / "aside").rename(tree / "d")
                else:
                    (tree / "d").rename(tree / "aside")
                    (tree / "d").symlink_to(host)

    attacker = threading.Thread(target=exchange)
    attacker.start()
    try:
        for _ in range(3):
            with contextlib.suppress(api.SourceUnavailable):
                await _source(repository, tmp_path).snapshot()
    finally:
        stop.set()
        attacker.join()
    assert list(host.iterdir()) == []


async def test_what_containers_keep_in_the_tree__stays_and_devices_in_it_are_not_opened(repository, tmp_path) -> None:
    await _source(repository, tmp_path).snapshot()
    (tree,) = (tmp_path / "sources").glob("*/tree")
    (tree / "data").mkdir()
    (tree / "data/kept").write_text("of the container")
    (tree / "web.yaml").unlink()
    os.mkfifo(tree / "web.yaml")
    deep = tree / "db.yaml"
    deep.mkdir()
    (deep / "in the way").mkdir()
    (repository / "db.yaml").write_text("2")
    (repository / "run.sh").write_text("#!/bin/sh")
    (repository / "run.sh").chmod(0o755)
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message=change")
    await _source(repository, tmp_path).snapshot()
    assert (tree / "data/kept").read_text() == "of the container"
    modes = {name: (tree / name).lstat().st_mode for name in ("web.yaml", "db.yaml", "run.sh")}
    assert modes == {"web.yaml": 0o100644, "db.yaml": 0o100644, "run.sh": 0o100755}
    assert [path.name for path in tree.parent.iterdir() if path.name == "staged"] == []


async def test_env_file_changed_in_the_checkout__counts_only_as_it_was_committed(repository, tmp_path) -> None:
    """A container with a writable bind of the checkout would choose another one's environment."""
    (repository / "web.env").write_text("A=1\n")
    (repository / "current.env").symlink_to("web.env")
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message=env")
    source = _source(repository, tmp_path)
    snapshot = await source.snapshot()
    assert snapshot.folder is not None
    tree = pathlib.Path(snapshot.folder.path)
    inputs = [
        ExternalInput(InputKind.ENV_FILE, str(tree / name), snapshot.folder)
        for name in ("web.env", "current.env", "other.env")
    ]
    (tree / "other.env").write_text("A=planted\n")
    first, linked, planted = external_inputs.read(inputs).values()
    assert (first.content, linked.content) == (b"A=1\n", b"A=1\n")
    assert planted.problem == "is not in the commit"
    (tree / "web.env").write_text("LD_PRELOAD=/x\n")
    problems = {state.problem for state in external_inputs.read(inputs[:2]).values()}
    assert problems == {"is not as it was committed: something on this host has changed the checkout"}

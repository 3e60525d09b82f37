"""What PATH of ``build`` may be: stdin, an archive, a git repository."""

import contextlib
import dataclasses
import gzip
import io
import json
import pathlib
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator

import pytest

from tests.e2e import command

pytestmark = pytest.mark.root

DOCKERFILE = "FROM scratch\nCOPY a.txt /\nCMD x\n"


@pytest.fixture
def prune(native: command.Trimtab) -> Iterator[None]:
    yield
    names = [line.split()[0] for line in native("image", "ls").stdout.splitlines()[1:]]
    assert not names or native("image", "rm", *names).returncode == 0
    assert native("system", "prune").returncode == 0


def build(native: command.Trimtab, *words: object, stdin: bytes = b"") -> str:
    """Build without a name, and return the image's id."""
    completed = subprocess.run(
        [*native.command("build", "-q"), *map(str, words)],
        input=stdin,
        capture_output=True,
        check=False,
        env=native.environment,
        cwd=native.home,
    )
    assert completed.returncode == 0, completed.stderr.decode()
    return completed.stdout.decode().strip()


@pytest.fixture
def app(native: command.Trimtab) -> pathlib.Path:
    folder = native.home / "app"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "a.txt").write_text("hello")
    return folder


def archive(folder: pathlib.Path, mode: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as tar:  # type: ignore[call-overload]  # modes of archives
        tar.add(folder, ".")
    return data.getvalue()


@pytest.mark.usefixtures("prune")
def test_build__of_stdin_or_an_archive__is_the_build_of_its_directory(
    native: command.Trimtab, app: pathlib.Path
) -> None:
    expected = build(native, "--build-arg", "SOURCE_DATE_EPOCH=1", app)
    once = ("--build-arg", "SOURCE_DATE_EPOCH=1")
    assert build(native, *once, "-f", "-", app, stdin=DOCKERFILE.encode()) == expected
    for mode in ("w:", "w:gz", "w:xz", "w:bz2"):
        data = archive(app, mode)
        assert build(native, *once, "-", stdin=data) == expected
        (native.home / "context").write_bytes(data)
        assert build(native, *once, "context") == expected
    (app / "Dockerfile").rename(app / "Other")
    assert build(native, *once, "-f", "Other", "-", stdin=archive(app, "w:")) == expected
    assert build(native, *once, "-", stdin=b"FROM scratch\nCMD x\n") != expected
    (native.home / "context").write_bytes(archive(app, "w:gz"))
    assert build(native, *once, "-f", "Other", "context") == expected
    assert build(native, *once, "-f", "-", "context", stdin=DOCKERFILE.encode()) == expected
    named = ("--build-context", "other=context", "-")
    assert build(native, *once, *named, stdin=b"FROM scratch\nCOPY --from=other a.txt /\nCMD x\n") == expected


@pytest.mark.parametrize(
    ("words", "stdin", "expected"),
    [
        (("-f", "-", "-"), b"", "stdin cannot be both the context and the Dockerfile"),
        (("-f", "Other", "-"), b"FROM scratch\n", "is no archive that Other could be in"),
        (("-",), b"FROM scratch\nCOPY a /\n", "<stdin>:2:1: error: the build has no context"),
        (("-",), b"\x1f\x8bnonsense", "<stdin> cannot be unpacked: "),
        (("-",), b"", "<stdin>:1:1: error: "),
        (("-",), b"PK\x03\x04\0\0", "<stdin> is neither a Dockerfile nor an archive that is read"),
        (("nosuch",), b"", "there is no nosuch"),
        (("git+https://example.org/a",), b"", "git+https:// is none of the URLs that are built from"),
        (("file:///srv/a.git",), b"", "file:// is none of the URLs that are built from"),
        (("-", "-f", "Other"), gzip.compress(b"", mtime=0), "there is no Other in <stdin>"),
    ],
)
def test_build__of_stdin_that_cannot_be__is_told(
    native: command.Trimtab, words: tuple[str, ...], stdin: bytes, expected: str
) -> None:
    completed = subprocess.run(
        native.command("build", *words), input=stdin, capture_output=True, check=False, env=native.environment
    )
    assert completed.returncode == 1
    assert expected in completed.stderr.decode(), completed.stderr.decode()
    assert "Traceback" not in completed.stderr.decode()


def test_build__archive_with_a_link_out__nothing_outside_is_written_or_read(
    native: command.Trimtab, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/Dockerfile").write_text("FROM scratch\nCMD x\n")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
        tar.addfile(link)
        for name in ("out/new", "../above"):
            tar.addfile(tarfile.TarInfo(name))
    completed = subprocess.run(
        native.command("build", "-f", "out/Dockerfile", "-"),
        input=data.getvalue(),
        capture_output=True,
        check=False,
        env=native.environment,
    )
    assert completed.returncode == 1
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["Dockerfile"]


@pytest.mark.usefixtures("prune")
def test_build__with_an_output__writes_the_files(native: command.Trimtab, app: pathlib.Path) -> None:
    native.home.joinpath("work").mkdir()
    completed = native("build", "-o", native.home / "work/out", app)
    assert (completed.returncode, completed.stdout.startswith("sha256:")) == (0, True), completed.stderr
    assert (native.home / "work/out/a.txt").read_text() == "hello"
    archived = subprocess.run(
        native.command("build", "-o", "-", str(app)), capture_output=True, check=True, env=native.environment
    )
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as tar:
        assert tar.getnames() == ["a.txt"]
    assert json.loads(native("build", "-o", "json", app).stdout)["id"].startswith("sha256:")
    assert native("build", "--output", "type=image", app).returncode == 0
    refused = native("build", "-o", "type=oci,dest=x", app)
    assert (refused.returncode, "trimtab image save" in refused.stderr) == (64, True)
    assert sorted(path.name for path in (native.home / "work").iterdir()) == ["out"]


@pytest.mark.parametrize("name", [".dockerignore", "Dockerfile.dockerignore"])
def test_build__archive_whose_ignore_file_leads_out__is_refused(
    native: command.Trimtab, tmp_path: pathlib.Path, name: str
) -> None:
    (tmp_path / "hosts").write_text("a\n[secret\n")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "hosts")
        tar.addfile(link)
        dockerfile = tarfile.TarInfo("Dockerfile")
        dockerfile.size = len(DOCKERFILE)
        tar.addfile(dockerfile, io.BytesIO(DOCKERFILE.encode()))
    completed = subprocess.run(
        native.command("build", "-"), input=data.getvalue(), capture_output=True, check=False, env=native.environment
    )
    assert completed.returncode == 1
    assert f"{name} leads out of its context" in completed.stderr.decode()
    assert "[secret" not in completed.stderr.decode()


@contextlib.contextmanager
def serving(folder: pathlib.Path) -> Iterator[str]:
    """Serve the repositories of a folder, and yield the beginning of their URLs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["git", "daemon", "--reuseaddr", "--export-all", f"--base-path={folder}", "--listen=127.0.0.1"]
    with subprocess.Popen([*words, f"--port={port}"], stderr=subprocess.DEVNULL) as daemon:
        try:
            deadline = time.monotonic() + command.PATIENCE
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert time.monotonic() < deadline, "git daemon does not listen"
                time.sleep(0.02)
            yield f"git://127.0.0.1:{port}"
        finally:
            daemon.terminate()
    subprocess.run(["pkill", "-f", f"git-daemon.*--port={port}"], check=False)


@pytest.mark.usefixtures("prune")
def test_build__of_a_git_repository__is_the_build_of_its_directory(native: command.Trimtab, app: pathlib.Path) -> None:
    temporary = native.home / "tmp"
    temporary.mkdir()
    native = dataclasses.replace(native, environment={**native.environment, "TMPDIR": str(temporary)})
    expected = build(native, "--build-arg", "SOURCE_DATE_EPOCH=1", app)
    repository = native.home / "served/app.git"
    (repository / "sub").mkdir(parents=True)
    for path in app.iterdir():
        (repository / "sub" / path.name).write_bytes(path.read_bytes())
    config = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run(["git", *config, *words], cwd=repository, check=True)
    with serving(native.home / "served") as url:
        once = ("--build-arg", "SOURCE_DATE_EPOCH=1")
        assert build(native, *once, f"{url}/app.git#v1:sub") == expected
        context = "FROM scratch\nCOPY --from=other a.txt /\nCMD x\n"
        named = ("--build-context", f"other={url}/app.git#main:sub")
        assert build(native, *once, *named, "-", stdin=context.encode()) == expected
        assert build(native, *once, "-f", "-", f"{url}/app.git#v1:sub", stdin=DOCKERFILE.encode()) == expected
        gone = native("build", f"{url}/none.git")
        assert (gone.returncode, f"{url}/none.git cannot be fetched" in gone.stderr) == (1, True), gone.stderr
    assert list(temporary.iterdir()) == []

"""What a child process gets of ours: nothing but what is handed to it."""

import json
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

from agent.kit import isolation, processes

HOSTILE = {
    "BASH_ENV": "/tmp/x",
    "ENV": "/tmp/x",
    "GIT_DIR": "/tmp/x",
    "GIT_EXTERNAL_DIFF": "/tmp/x",
    "LD_AUDIT": "/tmp/x.so",
    "LD_LIBRARY_PATH": "/tmp/x",
    "LD_PRELOAD": "",
    "NOTIFY_SOCKET": "/tmp/x",
    "PYTHONHOME": "/tmp/x",
    "PYTHONPATH": "/tmp/x",
    "PYTHONSTARTUP": "/tmp/x",
    "TRIMTAB_PASSWORD": "secret",
}


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set variables by which a program could be made to run something else."""
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f".::relative:{os.environ['PATH']}")


@pytest.mark.usefixtures("hostile")
async def test_child__gets_path_and_locale_and_nothing_else() -> None:
    lines = (await processes.run(["env"])).check().stdout.decode().splitlines()
    assert dict(line.split("=", 1) for line in lines) == {"PATH": isolation.search_path(), "LC_ALL": "C.UTF-8"}
    assert all(folder.startswith("/") for folder in isolation.search_path().split(":"))


@pytest.mark.usefixtures("hostile")
def test_environment__has_what_is_allowed_by_name_or_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("ALLOWED_REGION", "eu")
    assert set(isolation.environment("HOME", "ALLOWED_*", "MISSING")) == {"PATH", "LC_ALL", "HOME", "ALLOWED_REGION"}


def test_search_path__without_an_absolute_folder__is_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", ".:bin")
    assert isolation.search_path() == isolation.SYSTEM_PATH


async def test_child__stands_in_the_root_with_an_empty_input_and_no_descriptor_of_ours() -> None:
    reader, writer = os.pipe()
    try:
        os.set_inheritable(writer, True)
        script = "pwd; cat; for fd in /proc/$$/fd/*; do echo ${fd##*/}; done"
        lines = (await processes.run(["sh", "-c", script])).check().stdout.decode().splitlines()
        handed = (await processes.run(["sh", "-c", script], processes.Options(pass_fds=(writer,)))).check()
    finally:
        os.close(reader)
        os.close(writer)
    shown = [int(number) for number in lines[1:]]
    assert lines[0] == "/"
    assert [number for number in shown if number <= 2] == [0, 1, 2]
    assert writer not in shown
    assert str(writer) in handed.stdout.decode().splitlines()


def test_blocking__gives_the_same(tmp_path: pathlib.Path) -> None:
    completed = processes.run_blocking(["sh", "-c", "pwd; cat; echo no >&2; exit 3"], processes.Options(stdin=b"in"))
    assert (completed.returncode, completed.stdout, completed.stderr) == (3, b"/\nin", b"no\n")
    with pytest.raises(processes.ProcessTimeout, match=r"within 0\.1 s"):
        processes.run_blocking(["sleep", "60"], processes.Options(timeout=0.1))
    with pytest.raises(FileNotFoundError):
        processes.run_blocking([tmp_path / "missing"])


def test_program__of_the_current_folder__is_not_found(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "tool-of-nobody"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".::{os.environ['PATH']}")
    assert processes.which(tool.name) is None
    with pytest.raises(FileNotFoundError):
        processes.spawn([tool.name])


SCRIPT = "import json, sys\ndef main():\n    print(json.dumps([sys.argv[1:], sys.path, sys.flags.isolated]))\n"


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("zipped", [False, True])
def test_python__is_isolated_and_finds_the_package_wherever_it_is(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    home = tmp_path / "package.zip" if zipped else tmp_path / "package"
    if zipped:
        with zipfile.ZipFile(home, "w") as archive:
            archive.writestr("elsewhere/__init__.py", "")
            archive.writestr("elsewhere/tool.py", SCRIPT)
    else:
        (home / "elsewhere").mkdir(parents=True)
        (home / "elsewhere/__init__.py").touch()
        (home / "elsewhere/tool.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(home)
    monkeypatch.syspath_prepend(os.getcwd())  # noqa: PTH109 - as `python -m` does it
    __import__("elsewhere")
    command = isolation.python("elsewhere.tool", "a b", "{}")
    del sys.modules["elsewhere"]
    completed = processes.run_blocking(command)
    arguments, path, isolated = json.loads(completed.check().stdout)
    assert (arguments, isolated) == (["a b", "{}"], 1)
    assert path[-1] == str(home)
    assert all(os.path.isabs(entry) and entry != os.getcwd() for entry in path)  # noqa: PTH109, PTH117 - text


def test_trusted__the_current_folder_goes__pythons_own_stays(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, packages = tmp_path / "link", tmp_path / "site-packages"
    link.symlink_to(tmp_path)
    packages.mkdir()
    monkeypatch.chdir(tmp_path)
    assert isolation.trusted(["", ".", "x", str(tmp_path), f"{tmp_path}/", str(link), "/x"]) == ["/x"]
    monkeypatch.chdir(packages)
    assert isolation.trusted([str(packages)]) == [str(packages)]
    packages.rmdir()
    assert isolation.trusted(["/x", ""]) == ["/x"]


def test_entry__takes_the_current_folder_off_the_import_path(tmp_path: pathlib.Path) -> None:
    script = (
        "import sys; sys.path.insert(0, ''); sys.path.insert(0, sys.argv[1])\n"
        "from agent.kit import isolation; isolation.forget_current_folder()\n"
        "print(sys.argv[1] in sys.path, '' in sys.path)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    completed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert completed.stdout == "False False\n"

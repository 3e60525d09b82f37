"""Real containers, through the command: the quickstart's image on the native runtime."""

import contextlib
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import termios
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests import hostports
from tests.e2e import command

pytestmark = pytest.mark.root


def _write(native: command.Trimtab, image: pathlib.Path, **containers: str) -> pathlib.Path:
    """Write manifests: the image, and containers by their specs."""
    folder = native.home / "manifests"
    (folder / "image.yaml").write_text(
        "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: quickstart}\n"
        f"spec: {{archive: {{path: {image}}}}}\n"
    )
    for name, spec in containers.items():
        (folder / f"{name}.yaml").write_text(
            f"apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {{name: {name}}}\n"
            f"spec: {{image: {{name: quickstart}}, stop: {{gracePeriod: 1s}}, {spec}}}\n"
        )
    return folder


def _page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return str(answer.read().decode())


def _serves(port: int) -> bool:
    with contextlib.suppress(OSError):
        return "html" in _page(port)
    return False


def test_apply__quickstart_like__serves_plans_nothing_more_and_is_deleted(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    port = hostports.free_port()
    folder = _write(native, quickstart_image, web=f'ports: ["127.0.0.1:{port}:80"]')
    assert native("plan", folder).returncode == 2
    applied = native("apply", folder)
    assert (applied.returncode, applied.stdout) == (0, "applied\n"), applied.stderr
    command.assert_eventually(lambda: _serves(port), "the page is served")
    repeated = native("plan", folder)
    assert (repeated.returncode, repeated.stdout) == (0, "Nothing to change.\n")
    assert re.search(r"Container +web +ours +running", native("observe").stdout)
    deleted = native("delete", folder)
    assert (deleted.returncode, deleted.stdout) == (0, "deleted\n")
    assert native.instance.left_on_the_host() == []
    assert not _serves(port)


def test_run__change_kill_and_stop__the_container_follows_the_file_and_outlives_the_agent(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    port = hostports.free_port()
    folder = _write(native, quickstart_image, web=f'ports: ["127.0.0.1:{port}:80"]')
    with native.running(folder) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: _serves(port), "the page is served")
        _write(native, quickstart_image, web=f'ports: ["127.0.0.1:{port}:80"], env: {{CHANGED: "yes"}}')
        command.assert_eventually(
            lambda: native("exec", "web", "sh", "-c", "echo $CHANGED").stdout == "yes\n", "the change"
        )
        sight = native.output("observe")
        (container,) = sight["observed"]["containers"]
        os.kill(container["pid"], signal.SIGKILL)
        agent.assert_shows('trimtab_container_restarts_total{name="web",reason="exit"}', 1.0)
        command.assert_eventually(lambda: _serves(port), "the page is served again")
        assert agent.stop(signal.SIGINT) == 0
        assert "containers keep running" in agent.log
        assert f"--root {native.home}/root" in agent.log
    assert _serves(port)


def test_logs__both_streams_tail_since_and_follow__as_asked(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    waiting = "while ! [ -e /tmp/go ]; do sleep 0.1; done"
    script = f"echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three; {waiting}; echo four"
    spec = f"command: [sh, -c, {json.dumps(script)}], restart: {{policy: Never}}, mounts: [{{tmpfs: 1Mi, path: /tmp}}]"
    assert native("apply", _write(native, quickstart_image, talker=spec)).returncode == 0
    command.assert_eventually(lambda: "three" in native("logs", "talker").stdout, "three lines")
    everything = native("logs", "talker")
    assert (everything.stdout, everything.stderr) == ("one\nthree\n", "two\n")
    assert native("logs", "--tail", "1", "talker").stdout == "three\n"
    assert native("logs", "--since", "1h", "talker").stdout == "one\nthree\n"
    lines = [json.loads(line) for line in native("logs", "-o", "json", "talker").stdout.splitlines()]
    assert [(line["stream"], line["text"]) for line in lines] == [
        ("stdout", "one"),
        ("stderr", "two"),
        ("stdout", "three"),
    ]
    following = subprocess.Popen(native.command("logs", "-f", "talker"), env=native.environment, stdout=subprocess.PIPE)
    assert following.stdout is not None
    assert following.stdout.readline() == b"one\n"
    assert native("exec", "talker", "sh", "-c", "echo > /tmp/go").returncode == 0
    assert following.stdout.read() == b"three\nfour\n"
    assert following.wait(command.PATIENCE) == 0
    following.stdout.close()


def test_logs__several_followed_with_times__have_names_and_go_on_over_a_restart(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    spec = "command: [sh, -c, 'echo begun; exec sleep 600'], restart: {policy: Always}"
    folder = _write(native, quickstart_image, api=spec, worker=spec)
    with native.running(folder) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: native("logs", "api", "worker").stdout.count("begun") == 2, "both have begun")
        assert native("logs", "api", "worker").stdout == "api    | begun\nworker | begun\n"
        (line,) = native("logs", "-t", "api").stdout.splitlines()
        moment, text = line.split(" ")
        assert text == "begun"
        assert native("logs", "--since", moment, "api").stdout == "begun\n"
        assert native("logs", "--since", "2999-01-01T00:00:00Z", "api").stdout == ""
        argv = native.command("logs", "-f", "api", "worker")
        with subprocess.Popen(argv, env=native.environment, stdout=subprocess.PIPE) as following:
            assert following.stdout is not None
            assert sorted(following.stdout.readline() for _ in range(2)) == [b"api    | begun\n", b"worker | begun\n"]
            observed = native.output("observe")["observed"]["containers"]
            os.kill(next(item["pid"] for item in observed if item["name"] == "api"), signal.SIGKILL)
            assert following.stdout.readline() == b"api    | begun\n"
            following.terminate()
        assert agent.stop(signal.SIGINT) == 0


@pytest.fixture
def sleeper(native: command.Trimtab, quickstart_image: pathlib.Path) -> str:
    """A container that only waits."""
    assert native("apply", _write(native, quickstart_image, sleeper="command: [sleep, '600']")).returncode == 0
    return "sleeper"


def test_exec__exit_code_streams_and_stdin__are_passed_through(native: command.Trimtab, sleeper: str) -> None:
    completed = native("exec", sleeper, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (completed.returncode, completed.stdout, completed.stderr) == (7, "out\n", "err\n")
    text = "x" * 300_000 + "\n"
    assert native("exec", "-i", sleeper, "cat", stdin=text).stdout == text
    assert native("exec", sleeper, "cat").stdout == ""
    assert native("exec", sleeper, "ls", "-d", "/www").stdout == "/www\n"


def test_exec__as_in_docker_and_kubectl__dashes_variables_and_directory(native: command.Trimtab, sleeper: str) -> None:
    assert native("exec", sleeper, "--", "ls", "-d", "/www").stdout == "/www\n"
    script = 'echo "$A $PATH $HERE"; pwd'
    flags = ("-e", "A=b=c", "--env", "PATH=/bin", "-e", "HERE", "-w", "/www")
    native.environment["HERE"] = "from here"
    assert native("exec", *flags, sleeper, "sh", "-c", script).stdout == "b=c /bin from here\n/www\n"


def test_exec__what_cannot_be_run__is_told(native: command.Trimtab, sleeper: str) -> None:
    for program, code in (("/no/such/program", 127), ("/www", 126)):
        completed = native("exec", sleeper, program)
        assert (completed.returncode, completed.stdout, completed.stderr.count("\n")) == (code, "", 1)
        assert completed.stderr.startswith("error: the command cannot be run: ")
    nobody = native("exec", "nobody", "ls")
    assert nobody.returncode == 1
    assert "nobody" in nobody.stderr


@contextlib.contextmanager
def _terminal(native: command.Trimtab, *arguments: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run the command on a terminal of its own; gives our side of it."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (33, 101))
    process = subprocess.Popen(
        ["setsid", "--ctty", *native.command(*arguments)],
        env={**native.environment, "LINES": "24", "COLUMNS": "80"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        yield ours, process
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read_until(terminal: int, text: bytes) -> bytes:
    printed = b""
    deadline = time.monotonic() + command.PATIENCE
    while text not in printed:
        readable, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert readable, printed
        printed += os.read(terminal, 4096)
    return printed


def test_exec__on_a_terminal__is_raw_has_its_size_and_gives_it_back(native: command.Trimtab, sleeper: str) -> None:
    script = (  # crun gives the size beside the start of the program: it is waited for
        "trap 'echo interrupted' INT; until busybox stty size 2>/dev/null; do :; done; echo ready;"
        "while ! read line; do :; done; busybox stty size; exit 9"
    )
    with _terminal(native, "exec", "-it", sleeper, "sh", "-c", script) as (terminal, process):
        assert b"33 101" in _read_until(terminal, b"ready"), "and not what LINES and COLUMNS say"
        assert not termios.tcgetattr(terminal)[3] & termios.ICANON, "every key goes to the command"
        os.write(terminal, b"\x03")
        _read_until(terminal, b"interrupted")
        termios.tcsetwinsize(terminal, (44, 55))
        command.assert_eventually(lambda: "44 55" in native("exec", sleeper, "sh", "-c", _SIZES).stdout, "the new size")
        os.write(terminal, b"go\r")
        _read_until(terminal, b"44 55")
        assert process.wait(command.PATIENCE) == 9
        assert termios.tcgetattr(terminal)[3] & termios.ICANON, "the terminal is as it was"


_SIZES = "for terminal in /dev/pts/[0-9]*; do busybox stty size -F $terminal; done"


def test_apply__what_cannot_be__is_told_and_the_rest_is_done(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    folder = _write(
        native,
        quickstart_image,
        good="command: [sleep, '600']",
        bad="command: [/no/such/program]",
        unbound="command: [sleep, '600'], mounts: [{bind: /nowhere/at/all, path: /x}]",
    )
    completed = native("apply", folder)
    assert completed.returncode == 1
    assert "not applied: 2 of 5 objects" in completed.stdout
    assert "Container/bad: " in completed.stderr
    assert "/nowhere/at/all" in completed.stderr
    assert native.is_ready("Container/good")
    assert not native.is_ready("Container/bad")


def test_doctor__this_machine__has_what_is_needed(native: command.Trimtab) -> None:
    completed = native("doctor")
    assert completed.returncode == 0, completed.stdout
    checks = native.output("doctor")
    assert {"root", "kernel", "cgroups", "conmon", "nft"} <= {check["name"] for check in checks}


def test_run__the_agent_is_killed__the_next_one_finds_what_runs_and_leaves_it_alone(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    port = hostports.free_port()
    folder = _write(native, quickstart_image, web=f'ports: ["127.0.0.1:{port}:80"]', idle="command: [sleep, '600']")
    with native.running(folder) as agent:
        agent.assert_ready()
        before = _containers(native)
        agent.stop(signal.SIGKILL)
    assert _serves(port)
    os.kill(before["idle"]["pid"], signal.SIGKILL)
    with native.running(folder) as agent:
        agent.assert_ready()
        agent.assert_shows('trimtab_container_restarts_total{name="idle",reason="exit"}', 1.0)
        after = _containers(native)
        assert after["web"] == before["web"], "what ran on is watched on"
        assert after["idle"]["id"] == before["idle"]["id"]
        assert after["idle"]["pid"] != before["idle"]["pid"], "what ended meanwhile is noticed"
        assert agent.metric("trimtab_internal_errors_total") == 0
        os.kill(before["web"]["pid"], signal.SIGKILL)
        agent.assert_shows('trimtab_container_restarts_total{name="web",reason="exit"}', 1.0)
        command.assert_eventually(lambda: _serves(port), "the page is served by the second run")


def test_run_once__natively__comes_back_and_leaves_everything_running(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    port = hostports.free_port()
    folder = _write(native, quickstart_image, web=f'ports: ["127.0.0.1:{port}:80"]')
    completed = native("run", "--once", folder)
    assert (completed.returncode, completed.stdout) == (0, "applied\n"), completed.stderr
    command.assert_eventually(lambda: _serves(port), "the page is served")
    repeated = native("run", "--once", folder)
    assert (repeated.returncode, repeated.stdout, repeated.stderr) == (0, "nothing to change\n", "")


def _containers(native: command.Trimtab) -> dict[str, dict[str, Any]]:
    return {container["name"]: container for container in native.output("observe")["observed"]["containers"]}


def test_run__a_manifest_is_rewritten_over_and_over__its_container_stays(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    folder = _write(native, quickstart_image, web='command: [sleep, "1000"]')
    path = folder / "web.yaml"
    text = path.read_text()
    with native.running(folder) as agent:
        agent.runs("web")
        begun = agent.metric('trimtab_container_start_time_seconds{name="web"}')
        for number in range(500):
            match number % 4:
                case 0 | 1:
                    path.write_text(text)
                case 2:
                    path.rename(folder / "web.yaml~")
                    path.write_text(text + f"# {number}\n")
                case _:
                    path.unlink()
                    path.write_text(text)
            time.sleep(0.005)
        reads = agent.metric('trimtab_source_reads_total{result="good"}')
        assert reads is not None
        assert reads > 2
        time.sleep(1.5)  # what is not believed at once would be by now
        assert agent.metric('trimtab_container_start_time_seconds{name="web"}') == begun
        assert agent.metric('trimtab_actions_total{action="StopContainer",result="succeeded"}') is None
        assert agent.metric('trimtab_actions_total{action="RemoveContainer",result="succeeded"}') is None

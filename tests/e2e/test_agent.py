"""The agent over the memory runtime: what it does when files, signals and other agents come."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from tests import instances
from tests.e2e import command

EXTRA = """
apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: extra}
spec: {image: docker.io/library/redis:7}
"""


def test_run__manifests_are_there__are_brought_about_and_measured(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        agent.assert_shows('trimtab_container_state{name="web",state="running"}', 1.0)
        agent.assert_shows('trimtab_object_condition{kind="Container",name="db",status="True",type="Ready"}', 1.0)
        assert agent.get("/healthz") == (200, "ok\n")
        assert agent.get("/nothing")[0] == 404
        status = trimtab.output("status")
        assert status["revision"].startswith("dir:sha256:")
        assert status["source"] == str(shop)
        assert trimtab.is_ready("Container/web")


def test_run__a_file_is_dropped_and_removed__is_followed(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        (shop / "extra.yaml").write_text(EXTRA)
        agent.assert_shows('trimtab_container_state{name="extra",state="running"}', 1.0)
        (shop / "extra.yaml").unlink()
        agent.assert_shows('trimtab_container_state{name="extra",state="running"}', None)
        agent.assert_shows('trimtab_container_state{name="web",state="running"}', 1.0)


def test_run__the_source_vanishes_or_is_emptied__nothing_is_removed(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        shop.rename(tmp_path / "away")
        command.assert_eventually(lambda: agent.get("/readyz")[0] == 503, "not ready any more")
        assert "cannot be read" in agent.get("/readyz")[1]
        shop.mkdir()
        agent.assert_shows("trimtab_source_empty", 1.0)
        agent.assert_shows('trimtab_container_state{name="web",state="running"}', 1.0)
        shutil.copytree(tmp_path / "away", shop, dirs_exist_ok=True)
        agent.assert_shows("trimtab_source_empty", 0.0)
        agent.assert_ready()
        assert "RemoveContainer" not in agent.log


def test_run__bad_manifests__leave_everything_running_and_are_told(
    trimtab: command.Trimtab, shop: pathlib.Path
) -> None:
    good = (shop / "web.yaml").read_text()
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        before = trimtab.output("status")["revision"]
        (shop / "web.yaml").write_text(good.replace("image:", "imgae:"))
        agent.assert_shows("trimtab_source_problems", 1.0)
        status = trimtab.output("status")
        assert status["revision"] == before
        assert any("web.yaml:5:3" in problem for problem in status["problems"])
        assert "web.yaml:5:3" in trimtab("status").stdout
        assert "web.yaml:5:3" in agent.get("/readyz")[1]
        agent.assert_shows('trimtab_container_state{name="web",state="running"}', 1.0)
        (shop / "web.yaml").write_text(good)
        agent.assert_shows("trimtab_source_problems", 0.0)
        agent.assert_ready()


def test_run__restarted_with_a_bad_source__goes_by_the_last_good_revision(
    trimtab: command.Trimtab, shop: pathlib.Path
) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
    (shop / "web.yaml").write_text("kind: [")
    with trimtab.running(shop) as agent:
        agent.says('"port"')
        agent.assert_shows('trimtab_container_state{name="web",state="running"}', 1.0)
        assert agent.get("/readyz")[0] == 503


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run__stopped__in_order_and_exits_with_0(
    trimtab: command.Trimtab, shop: pathlib.Path, number: signal.Signals
) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        assert agent.stop(number) == 0
        assert agent.events()[-1]["event"] == "the agent stops"
        assert [event for event in agent.events() if event["level"] not in {"info", "debug"}] == []
        assert "Traceback" not in agent.log
        assert "stopped; " in agent.log


def test_run__sigusr1__tells_tasks_and_the_last_plan(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        agent.send(signal.SIGUSR1)
        agent.says("last plan:")
        assert "runtime events at" in agent.log
        assert agent.get("/healthz")[0] == 200


def test_run__a_second_agent_on_the_same_root__is_refused(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        completed = trimtab("run", shop)
        assert completed.returncode == 1
        assert f"is locked by process {agent.pid}" in completed.stderr
        refused = trimtab("run", "--root", trimtab.home / "other", shop)  # with the same run directory
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr
        own = ("--root", trimtab.home / "other", "--run-dir", trimtab.home / "other-run")
        with trimtab.running(shop, *own) as other:
            other.assert_ready()


def test_run__the_address_is_taken__says_so_and_changes_nothing(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        completed = trimtab("run", shop, "--listen", f"127.0.0.1:{port}")
    assert completed.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in completed.stderr
    assert "Traceback" not in completed.stderr


def test_run__killed__the_next_one_takes_over(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        agent.stop(signal.SIGKILL)
    with trimtab.running(shop) as agent:
        agent.assert_ready()


def test_run__under_systemd__tells_readiness_watchdog_and_end(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(command.PATIENCE)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        with trimtab.running(shop, environment=environment) as agent:
            messages: list[str] = []
            while messages.count("WATCHDOG=1") < 3 or "READY=1" not in messages:
                messages.append(systemd.recv(4096).decode())
            agent.send(signal.SIGTERM)
            while "STOPPING=1" not in messages:
                messages.append(systemd.recv(4096).decode())
            assert agent.wait() == 0
    assert "STATUS=converging" in messages


def test_run__a_git_repository__is_followed(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
        subprocess.run(["git", "-C", shop, *identity, *arguments], check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("commit", "--quiet", "--message=1")
    with trimtab.running(f"git+file://{shop}?interval=1s#main") as agent:
        agent.assert_ready()
        assert len(trimtab.output("status")["revision"]) == 40
        (shop / "extra.yaml").write_text(EXTRA)
        git("add", ".")
        git("commit", "--quiet", "--message=2")
        agent.assert_shows('trimtab_container_state{name="extra",state="running"}', 1.0)


def test_run__the_source_in_a_variable__is_taken(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    process = subprocess.Popen(
        trimtab.command("run", "--listen", "off"),
        env={**trimtab.environment, "TRIMTAB_SOURCE": str(shop)},
        stderr=subprocess.DEVNULL,
    )
    try:
        command.assert_eventually(lambda: trimtab.is_ready("Container/web"), "web is ready")
    finally:
        process.terminate()
        assert process.wait(command.PATIENCE) == 0


def test_run_once__converges_and_exits(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    completed = trimtab("run", "--once", shop)
    assert (completed.returncode, completed.stdout) == (0, "applied\n")


def test_apply__everything_can_be_done__exits_with_0(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    completed = trimtab("apply", shop)
    assert (completed.returncode, completed.stdout) == (0, "applied\n")
    assert "StartContainer Container/web" in completed.stderr
    assert trimtab.output("apply", shop)["outcome"] == "applied"


def test_apply__a_name_that_is_taken_twice__changes_nothing(trimtab: command.Trimtab, testdata: pathlib.Path) -> None:
    completed = trimtab("apply", testdata)
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "two.yaml:3:" in completed.stderr
    assert "error: the manifests have 1 problem\n hint: nothing was changed; " in completed.stderr
    assert trimtab.objects() == {}


def test_delete__what_was_simulated_is_gone_with_the_apply__says_that_nothing_was_there(
    trimtab: command.Trimtab, shop: pathlib.Path
) -> None:
    trimtab("apply", shop)
    completed = trimtab("delete", shop)
    assert (completed.returncode, completed.stdout) == (0, "nothing to be deleted: none of it is here\n")
    assert not any(name.startswith("Container/") for name in trimtab.objects())


def test_status__no_agent_has_ever_run__says_so(trimtab: command.Trimtab) -> None:
    completed = trimtab("status")
    assert completed.returncode == 1
    assert "error: no agent has run here yet: there is no journal" in completed.stderr
    assert " hint: start one by trimtab" in completed.stderr


def test_logs_and_exec__no_such_container__say_so(trimtab: command.Trimtab) -> None:
    for arguments in (("logs", "nobody"), ("exec", "nobody", "ls")):
        completed = trimtab(*arguments)
        assert completed.returncode == 1
        assert "nobody" in completed.stderr
        assert "Traceback" not in completed.stderr


def test_exec__a_terminal_is_asked_for_and_there_is_none__is_refused(trimtab: command.Trimtab) -> None:
    completed = trimtab("exec", "-it", "web", "sh")
    assert completed.returncode == 1
    assert "stdin is not a terminal" in completed.stderr


@pytest.mark.root
@pytest.mark.parametrize("runtime", ["memory", "native"])
@pytest.mark.parametrize(
    "arguments", [["logs", "web"], ["exec", "web", "ls"], ["observe"], ["status"], ["image", "ls"]]
)
def test_look__at_somebody_elses_root__says_to_use_sudo(
    trimtab: command.Trimtab, runtime: str, arguments: list[str]
) -> None:
    root = trimtab.home / "root"
    root.mkdir(mode=0o700)
    (root / "engine.sqlite").touch()
    os.chown(root, 65534, 65534)
    without_roots_rights = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    completed = subprocess.run(
        [*without_roots_rights, *trimtab.command(*arguments)],
        env={**trimtab.environment, "TRIMTAB_RUNTIME": runtime},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert completed.returncode == 1
    assert f"{root}" in completed.stderr
    assert "permission denied\n hint: run it with sudo; " in completed.stderr


@pytest.mark.root
@pytest.mark.parametrize("runtime", ["memory", "native"])
@pytest.mark.parametrize(
    "arguments", [["run"], ["apply"], ["delete"], ["plan"], ["observe"], ["status"], ["logs", "web"]]
)
def test_run__by_somebody_who_may_not__says_what_to_do(
    trimtab: command.Trimtab, runtime: str, arguments: list[str]
) -> None:
    source = [] if arguments[0] in {"observe", "status", "logs"} else [instances.REPOSITORY / "tests/e2e/testdata/shop"]
    completed = subprocess.run(
        [*("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"), *trimtab.command(*arguments, *source)],
        env={
            **trimtab.environment,
            "TRIMTAB_RUNTIME": runtime,
            "TRIMTAB_ROOT": "/root/trimtab-e2e",
            "TRIMTAB_CONFIG": "/dev/null",
        },
        cwd=instances.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in completed.stderr
    if arguments[0] in {"run", "apply", "delete"}:
        assert completed.returncode == 1
        assert "/root/trimtab-e2e cannot be used as root: permission denied" in completed.stderr
        assert "run it with sudo, or give another --root" in completed.stderr

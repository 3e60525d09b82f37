"""``reconcile`` with an agent that runs, with none, and with one that hangs."""

import pathlib
import signal

from tests.e2e import command

CONTAINER = """apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: more}
spec: {image: docker.io/library/nginx:1.27, networks: none}
"""


def test_reconcile__a_manifest_was_added__is_read_and_acted_on(
    trimtab: command.Trimtab, shop: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: trimtab("status").returncode == 0, "all is applied")
        assert trimtab("reconcile").stdout.splitlines()[1:] == ["nothing to change"]
        assert '"request": "reconcile"' in agent.log
        (shop / "more.yaml").write_text(CONTAINER)
        answer = trimtab.output("reconcile")
        assert (answer["look"]["result"], answer["revision"]) == ("good", trimtab.output("status")["revision"])
        assert trimtab.output("describe", "more")["objects"], "the new manifest was read before the answer"
        shop.rename(tmp_path / "away")
        completed = trimtab("reconcile")
        assert completed.returncode == 1
        assert completed.stdout.startswith("the source cannot be read: revision ")


def test_reconcile__no_agent_runs__says_how_to_start_one(trimtab: command.Trimtab) -> None:
    completed = trimtab("reconcile")
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "no agent is running" in completed.stderr
    assert "run SOURCE" in completed.stderr


def test_reconcile__the_agent_hangs__gives_up_in_time(trimtab: command.Trimtab, shop: pathlib.Path) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        agent.send(signal.SIGSTOP)
        try:
            completed = trimtab("reconcile", "--timeout", "1s")
        finally:
            agent.send(signal.SIGCONT)
        assert completed.returncode == 1
        assert "has not answered within 1 s" in completed.stderr


def test_reconcile__a_timeout_that_cannot_be__is_wrong_use(trimtab: command.Trimtab) -> None:
    for timeout in ("0s", "soon"):
        assert trimtab("reconcile", "--timeout", timeout).returncode == 64

"""What was done, asked of a running agent and read without one: both say the same."""

import pathlib
import signal

import pytest

from tests.e2e import command, test_status


def assert_same_without_agent(trimtab: command.Trimtab, agent: command.Agent, *questions: tuple[str, ...]) -> None:
    """Stop the agent, and check that the answers stay what they were."""
    words = [(*question, "--output", output) for question in questions for output in ("text", "json")]
    answers = [trimtab(*question) for question in words]
    assert agent.stop() == 0
    for question, answer in zip(words, answers, strict=True):
        repeated = trimtab(*question)
        assert (repeated.stdout, repeated.stderr, repeated.returncode) == (answer.stdout, "", 0), question


def test_history__good_and_bad_revisions__are_listed_alike_with_an_agent_and_without(
    trimtab: command.Trimtab, shop: pathlib.Path
) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: results(trimtab) == ["applied"], "the first revision is applied")
        bad = shop / "bad.yaml"
        bad.write_text("kind: Nonsense\n")
        command.assert_eventually(lambda: results(trimtab) == ["applied", "rejected"], "the bad one was read")
        lines = trimtab("history").stdout.splitlines()
        assert [line.split()[2] for line in lines[1:3]] == ["applied", "1"]
        assert lines[3].startswith(f"    {bad}:1:")
        assert len(trimtab("history", "-n", "1").stdout.splitlines()) == len(lines) - 1
        assert_same_without_agent(trimtab, agent, ("history",), ("history", "-n", "1"))


def results(trimtab: command.Trimtab) -> list[str]:
    """Return the results of the revisions that were read."""
    return [revision["result"] for revision in trimtab.output("history")["revisions"]]


def test_events__what_was_done__is_listed_with_reasons_alike_with_an_agent_and_without(
    trimtab: command.Trimtab, shop: pathlib.Path
) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: trimtab("status").returncode == 0, "all is applied")
        events = trimtab.output("events", "container/web")["events"]
        assert [(event["action"], event["reason"], event["result"]) for event in events] == [
            ("CreateContainer", "Missing", "succeeded"),
            ("StartContainer", "Missing", "succeeded"),
        ]
        assert {event["revision"] for event in events} == {trimtab.output("status")["revision"]}
        assert len(trimtab("events").stdout.splitlines()) > len(events) + 1
        assert trimtab("events", "web", "-n", "1").stdout.splitlines()[1].split()[2:6] == [
            *("Container/web", "StartContainer", "Missing", "succeeded")
        ]
        assert trimtab("events", "nobody").stdout == "nothing is recorded of nobody\n"
        assert_same_without_agent(trimtab, agent, ("events",), ("events", "web", "-n", "1"), ("events", "nobody"))


def test_history__no_agent_has_ever_run__says_so(trimtab: command.Trimtab) -> None:
    completed = trimtab("history")
    assert completed.returncode == 1
    assert "no agent has run here yet" in completed.stderr


def test_describe__beside_an_agent__has_state_declaration_and_events(
    trimtab: command.Trimtab, shop: pathlib.Path
) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: trimtab("status").returncode == 0, "all is applied")
        (web,) = trimtab.output("describe", "container/web")["objects"]
        assert web["declared"]["ports"] == ["127.0.0.1:8080:80/tcp"]
        (image,) = trimtab.output("status", web["declared"]["image"][0])["objects"]
        assert web["digests"] == image["image"]["digests"]
        assert (web["detail"], web["events"][-1]["action"]) == ("running", "StartContainer")
        assert [item["object"] for item in trimtab.output("status", "web", "Network/shop")["objects"]] == [
            *("Container/web", "Network/shop")
        ]
        for words in (("describe", "wbe"), ("status", "web", "wbe"), ("describe", "wbe", "-o", "json")):
            completed = trimtab(*words)
            assert (completed.returncode, completed.stdout) == (1, "")
            assert "there is no object wbe" in completed.stderr
            assert "did you mean Container/web" in completed.stderr
        assert "trimtab" in trimtab("describe", "nothing-like-it").stderr
        assert agent.stop() == 0
        (without,) = trimtab.output("describe", "web")["objects"]
        for part in ("object", "declared", "digests", "events"):
            assert without[part] == web[part]


@pytest.mark.root
def test_describe__containers_run_on_after_the_agent__says_the_same_without_it(
    native: command.Trimtab, quickstart_image: pathlib.Path
) -> None:
    folder = test_status.declare(native.home, quickstart_image)
    with native.running(folder) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: native("status").returncode == 0, native("status").stdout)
        described = native.output("describe", "worker")
        assert described["objects"][0]["detail"] == "running"
        assert agent.stop() == 0
    assert native.output("describe", "worker") == described


def test_history_and_events__the_agent_hangs__are_read_from_the_records_and_it_is_said(
    trimtab: command.Trimtab, shop: pathlib.Path
) -> None:
    with trimtab.running(shop) as agent:
        agent.assert_ready()
        command.assert_eventually(lambda: results(trimtab) == ["applied"], "the revision is applied")
        answers = {name: trimtab(name).stdout for name in ("history", "events")}
        agent.send(signal.SIGSTOP)
        try:
            for name, answer in answers.items():
                completed = trimtab(name)
                assert (completed.returncode, completed.stdout) == (0, answer)
                assert completed.stderr.startswith("the records are read instead: the agent has not answered within")
        finally:
            agent.send(signal.SIGCONT)

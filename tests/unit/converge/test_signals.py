"""The words of signals that leave the process: labels of metrics, which dashboards go by."""

from agent.converge import signals


def test_trigger__as_a_label__is_one_of_these_words() -> None:
    assert [trigger.value for trigger in signals.Trigger] == [
        *("start", "source", "runtime", "health", "action", "timer", "registry", "request", "relist"),
    ]


def test_result__as_a_label__is_one_of_these_words() -> None:
    assert [result.value for result in signals.Result] == ["succeeded", "failed", "skipped", "superseded"]


def test_source_rejected__nothing_said_of_it__is_not_a_repetition() -> None:
    assert not signals.SourceRejected("here", "r1", (), 1.0, is_first=True).repeated

"""The text of a description."""

import dataclasses

from agent.agent_api import descriptions, past, status
from agent.cli import describe_view
from tests.unit.cli import test_status_view

NOW = test_status_view.NOW
EVENT = past.Event(1_700_000_000.0, "Container/web", "StartContainer", "Exited", "failed", "no such program", 0.5, "r1")
LOOPING = descriptions.Description(
    test_status_view.LOOPING, (("image", ("nginx:1",)), ("ports", ("80", "81"))), ("sha256:abc",), (EVENT,)
)


def test_describe__a_container__ends_with_its_events() -> None:
    assert list(describe_view.lines(LOOPING, NOW)) == [
        "Name:          web",
        "Kind:          Container",
        "Status:        exited (3)",
        "Next try:      in 45s",
        "Restarts:      4",
        "Image digest:  sha256:abc",
        "Conditions:",
        "  TYPE         STATUS  AGE  REASON",
        "  Ready        False   90s  BackOff",
        "      exited with 3; failure 5 in a row",
        "  Reconciling  True    90s  BackOff",
        "  Stalled      False   90s  BackOff",
        "Declared:",
        "  image:  nginx:1",
        "  ports:  80",
        "          81",
        "Events:",
        "  TIME                  OBJECT         ACTION          REASON  RESULT",
        "  2023-11-14 22:13:20Z  Container/web  StartContainer  Exited  failed in 0.5s",
        "      no such program",
    ]


def test_describe__not_declared_and_nothing_done__says_so() -> None:
    lines = list(describe_view.lines(descriptions.Description(test_status_view.WELL, None, (), ()), NOW))
    assert lines[-3:] == ["Declared: no, as far as is known", "Events:", "  nothing is recorded of Container/api"]


def test_describe__an_image_with_an_update_policy__has_the_latest_one_or_the_problem() -> None:
    latest = status.LatestImageStatus("nginx:1.27", "sha256:def", 7.0, "")
    for latest_image, text in (
        (latest, "nginx:1.27 sha256:def"),
        (dataclasses.replace(latest, problem="denied"), "denied"),
    ):
        item = dataclasses.replace(test_status_view.WELL, image=status.ImageStatus((), latest_image))
        lines = describe_view.lines(descriptions.Description(item, None, (), ()), NOW)
        assert f"Latest image:  {text}" in lines

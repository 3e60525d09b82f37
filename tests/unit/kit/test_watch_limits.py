"""What is told of the kernel's limits on watching."""

import errno
import logging
import os

import pytest

from agent.kit import watch_limits

_log = logging.getLogger("test")


@pytest.fixture
def report(caplog: pytest.LogCaptureFixture) -> watch_limits.Report:
    caplog.set_level(logging.INFO)
    return watch_limits.Report(_log)


def refusal(number: int) -> OSError:
    """What the kernel answers."""
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EMFILE, "; raise fs.inotify.max_user_instances"),
        (errno.ENOSPC, "; raise fs.inotify.max_user_watches"),
        (errno.EACCES, ""),
    ],
)
def test_report__names_the_setting_that_is_too_low(
    report: watch_limits.Report, caplog: pytest.LogCaptureFixture, number: int, advice: str
) -> None:
    report.failed("/srv", refusal(number), "changes are found late")
    expected = f"/srv is not watched ({refusal(number)}): changes are found late until it is{advice}"
    assert [record.getMessage() for record in caplog.records] == [expected]


def test_report__tried_many_times__is_told_once_and_its_end_too(
    report: watch_limits.Report, caplog: pytest.LogCaptureFixture
) -> None:
    report.succeeded()
    for subject in ("/srv", "/srv", "/etc"):
        report.failed(subject, refusal(errno.ENOSPC), "changes are found late")
    report.succeeded()
    report.succeeded()
    report.failed("/etc", refusal(errno.EMFILE), "changes are found late")
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "/srv is not watched",
        "/srv is watched again",
        "/etc is not watched",
    ]

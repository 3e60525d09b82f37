"""What logs look like."""

import io
import json
import logging as stdlib
from collections.abc import Iterator

import pytest
import structlog

from agent.telemetry import logging


class Terminal(io.StringIO):
    """A stream that says that somebody looks."""

    def isatty(self) -> bool:
        """Return true."""
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = stdlib.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def test_configure__no_terminal__writes_an_object_a_line() -> None:
    stream = io.StringIO()
    logging.configure("auto", "info", stream)
    structlog.get_logger().info("web: started", key="Container/web")
    structlog.get_logger().debug("not worth it")
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert list(entry) == ["timestamp", "level", "event", "key"]
    assert (entry["level"], entry["event"], entry["key"]) == ("info", "web: started", "Container/web")


def test_configure__terminal__writes_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    logging.configure("auto", "info", stream)
    structlog.get_logger().info("web: started", key="Container/web")
    assert "\033[" in stream.getvalue()
    assert "web: started" in stream.getvalue()


def test_configure__no_color__has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    logging.configure("console", "info", stream)
    structlog.get_logger().warning("web: \033[2J gone", name="\x07bell")
    assert "\033" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()
    assert "web: \\x1b[2J gone" in stream.getvalue()


def test_configure__library_speaks__is_heard_from_warning_on() -> None:
    stream = io.StringIO()
    logging.configure("json", "debug", stream)
    stdlib.getLogger("aiohttp.server").info("nobody cares")
    stdlib.getLogger("aiohttp.server").warning("something is %s", "odd")
    (line,) = stream.getvalue().splitlines()
    assert {key: json.loads(line)[key] for key in ("event", "library", "level")} == {
        "event": "something is odd",
        "library": "aiohttp.server",
        "level": "warning",
    }


def test_configure__error_with_a_traceback__is_one_object() -> None:
    stream = io.StringIO()
    logging.configure("json", "info", stream)
    try:
        {}["oh"]
    except KeyError as error:
        structlog.get_logger().error("relist broke", exc_info=error)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["exception"][0]["exc_type"] == "KeyError"


@pytest.mark.parametrize("form", ["json", "console"])
def test_configure__error_with_a_traceback__tells_no_values_of_variables(form: str) -> None:
    stream = io.StringIO()
    logging.configure(form, "info", stream)
    password = "s3cr3t"
    try:
        {}[len(password)]
    except KeyError as error:
        structlog.get_logger().error("relist broke", exc_info=error)
        stdlib.getLogger("aiohttp.server").exception("a request broke")
    assert stream.getvalue().count("KeyError") >= 2
    assert password not in stream.getvalue()

"""Log formats: lines for people on a terminal, a JSON object per line elsewhere; both on stderr."""

import logging
import os
from typing import TextIO

import structlog
import structlog.tracebacks
from structlog.typing import EventDict, Processor, WrappedLogger

from agent.kit import escapes

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(format: str, level: str, stream: TextIO) -> None:
    """Set logging up, the libraries' too. ``format``: ``console``, ``json``, or ``auto`` to look at the stream.

    Libraries log from ``warning`` on: their details are our business, not the reader's.
    """
    console = format == "console" or (format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    rendering = _console(coloured=_is_coloured(stream)) if console else _json()
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _name_library],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(LEVELS[level], logging.WARNING))


def log_dropped(count: int) -> None:
    """Log how many lines were dropped because nobody read them in time."""
    structlog.get_logger().warning("lines of this log were dropped: nobody read them", lines=count)


def _console(*, coloured: bool) -> list[Processor]:
    return [_printable, _renderer(coloured=coloured)]


def _renderer(*, coloured: bool) -> Processor:
    formatter = structlog.dev.plain_traceback  # without the values of variables, which may be secrets
    return structlog.dev.ConsoleRenderer(colors=coloured, pad_event_to=0, exception_formatter=formatter)


_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # values of variables may be secrets
)


def _json() -> list[Processor]:
    return [_TRACEBACKS, _ordered, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _ordered(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put the keys that readers look for first in front."""
    del logger, method
    return {key: event[key] for key in ("timestamp", "level", "event") if key in event} | dict(event)


def _is_coloured(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _printable(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Escape control characters, so that hostile names and messages cannot control the terminal."""
    del logger, method
    return {key: _plain(key, value) if isinstance(value, str) else value for key, value in event.items()}


def _plain(key: str, text: str) -> str:
    """Keep every text on its line, so that no name begins a line of its own; a traceback keeps its lines."""
    return "\n".join(map(escapes.printable, text.split("\n"))) if key == "exception" else escapes.printable(text)


def _name_library(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Add the library's name to its records."""
    del logger, method
    record = event.get("_record")
    return event if record is None else {**event, "library": record.name}

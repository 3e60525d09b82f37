"""What an order of a build may say, whoever has sent it. Pure."""

import base64
import binascii
import dataclasses
from collections.abc import Iterator

from agent.dockerfile import caches, outputs
from agent.oci import platform, reference
from agent.runtime import build_orders

_LONGEST_PATH = 4095
_MOST_NAMES = 100
_LATEST = 2**40
_NETWORKS = frozenset({"default", "none", "host"})


def checked(order: build_orders.Order) -> build_orders.Order:
    """Return an order with its references in their whole form. Raises ``ValueError`` with what is wrong in it."""
    for name, text in _texts(order):
        try:
            build_orders.encoded(text)
        except UnicodeEncodeError:
            raise ValueError(f"{name} has surrogates that stand for no bytes") from None
        if "\0" in text and name != "source":
            raise ValueError(f"{name} has a NUL")
    for name, path in _paths(order):
        if not path.startswith("/") or len(path) > _LONGEST_PATH:
            raise ValueError(f"{name} is no absolute path of a usual length")
    for name, value in order.secrets:
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"the secret {name[:50]!r} is no base64") from None
    _check_words(order)
    return dataclasses.replace(order, references=tuple(_references(order)))


def _check_words(order: build_orders.Order) -> None:
    if order.network not in _NETWORKS:
        raise ValueError(f"network is none of {', '.join(sorted(_NETWORKS))}")
    if order.output and order.output not in {outputs.OutputType.LOCAL, outputs.OutputType.TAR}:
        raise ValueError("output is none of local and tar")
    if order.epoch is not None and not 0 <= order.epoch < _LATEST:
        raise ValueError("epoch is no number of seconds since 1970")
    if order.platform and platform.normal(platform.parse(order.platform)).os == "windows":
        raise ValueError("an image for Windows cannot be built on Linux")
    for text in order.cache_from:
        reference.parse(caches.source(text))
    for text in order.cache_to:
        reference.parse(caches.target(text).reference)


def _references(order: build_orders.Order) -> Iterator[str]:
    if len(order.references) > _MOST_NAMES:
        raise ValueError(f"references are more than {_MOST_NAMES}")
    for text in order.references:
        parsed = reference.parse(text)
        if parsed.digest:
            raise ValueError(f"{text[:100]!r} has a digest, which no name can give to an image")
        yield str(parsed)


def _texts(order: build_orders.Order) -> Iterator[tuple[str, str]]:
    """Yield every text of an order with the name of its field."""
    for field in dataclasses.fields(order):
        value = getattr(order, field.name)
        entries = value if isinstance(value, tuple) else (value,)
        for entry in entries:
            parts = entry if isinstance(entry, tuple) else (entry,)
            yield from ((field.name, part) for part in parts if isinstance(part, str))


def _paths(order: build_orders.Order) -> Iterator[tuple[str, str]]:
    single = {"dockerfile": order.dockerfile, "context": order.context, "output_path": order.output_path}
    yield from ((name, path) for name, path in single.items() if path)
    yield from (("contexts", path) for _, path in order.contexts if not path.startswith(build_orders.IMAGE))
    yield from (("ssh", path) for _, path in order.ssh)
    if order.output and not order.output_path:
        yield "output_path", ""

"""The configuration of an image that is being built, as Docker's images have it."""

import json
from collections.abc import Mapping

from agent.dockerfile.instructions import Pair
from agent.kit import frozen

_SECOND = 10**9


@frozen.value
class HistoryEntry:
    """What an instruction did."""

    created_by: str
    has_layer: bool = False


@frozen.value
class Healthcheck:
    """How a container's health is asked for; times in nanoseconds, 0: the engine's default."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    def document(self) -> dict[str, object]:
        """Return it as an image's configuration has it."""
        numbers = {
            "Interval": self.interval,
            "Timeout": self.timeout,
            "StartPeriod": self.start_period,
            "StartInterval": self.start_interval,
            "Retries": self.retries,
        }
        return {"Test": list(self.test), **{name: number for name, number in numbers.items() if number}}

    def printed(self) -> str:
        """Return it as Go prints it in a history."""
        times = (self.interval, self.timeout, self.start_period, self.start_interval)
        words = " ".join(map(_quoted, self.test))
        return f"&{{[{words}] {' '.join(_quoted(_duration(time)) for time in times)} '\\x{self.retries:02x}'}}"


@frozen.value
class Configuration:
    """How an image is to be run."""

    env: tuple[Pair, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    user: str = ""
    labels: tuple[Pair, ...] = ()
    ports: tuple[str, ...] = ()
    """``80/tcp``, sorted."""
    volumes: tuple[str, ...] = ()
    """Sorted."""
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()
    author: str = ""
    args_escaped: bool = False

    def document(self) -> dict[str, object]:
        """Return the ``config`` of an image's configuration; what is empty is left out."""
        fields: dict[str, object] = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.ports},
            "Env": [f"{name}={value}" for name, value in self.env],
            "Entrypoint": list(self.entrypoint or ()) or None,
            "Cmd": list(self.cmd or ()) or None,
            "Healthcheck": None if self.healthcheck is None else self.healthcheck.document(),
            "ArgsEscaped": self.args_escaped,
            "Volumes": {path: {} for path in self.volumes},
            "WorkingDir": self.working_dir,
            "OnBuild": list(self.on_build) or None,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
            "Shell": list(self.shell) or None,
        }
        return {name: value for name, value in fields.items() if value not in (None, "", {}, False)}


def with_pair(pairs: tuple[Pair, ...], name: str, value: str) -> tuple[Pair, ...]:
    """Return pairs with one set, in its old place where it was there."""
    if any(name == own for own, _ in pairs):
        return tuple((own, value if own == name else old) for own, old in pairs)
    return (*pairs, (name, value))


def quoted(words: tuple[str, ...]) -> str:
    """Return words as Go prints them in a history: ``["a" "b"]``."""
    return f"[{' '.join(map(_quoted, words))}]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _duration(nanoseconds: int) -> str:
    """Return a time as Go's ``time.Duration`` prints it: ``1m30s``, ``500ms``, ``0s``."""
    if nanoseconds < _SECOND:
        for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if nanoseconds >= size:
                return f"{_decimal(nanoseconds, size)}{unit}"
        return "0s"
    minutes, seconds = divmod(nanoseconds, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if hours or minutes else "", f"{_decimal(seconds, _SECOND)}s"]
    return "".join(parts)


def _decimal(number: int, size: int) -> str:
    whole, part = divmod(number, size)
    return f"{whole}.{part:0{len(str(size)) - 1}d}".rstrip("0").rstrip(".") if part else str(whole)


def of_document(config: Mapping[str, object]) -> Configuration:
    """Return the configuration that an image's ``config`` is. Fields of another type than Docker's are left out."""
    env = tuple(_pair(entry) for entry in _texts(config.get("Env")))
    labels = config.get("Labels")
    ports, volumes = config.get("ExposedPorts"), config.get("Volumes")
    return Configuration(
        env=env,
        entrypoint=_texts(config.get("Entrypoint")) or None,
        cmd=_texts(config.get("Cmd")) or None,
        working_dir=str(config.get("WorkingDir") or ""),
        user=str(config.get("User") or ""),
        labels=tuple((str(name), str(value)) for name, value in labels.items()) if isinstance(labels, dict) else (),
        ports=tuple(sorted(map(str, ports))) if isinstance(ports, dict) else (),
        volumes=tuple(sorted(map(str, volumes))) if isinstance(volumes, dict) else (),
        stop_signal=str(config.get("StopSignal") or ""),
        healthcheck=_healthcheck(config.get("Healthcheck")),
        shell=_texts(config.get("Shell")),
        on_build=_texts(config.get("OnBuild")),
        args_escaped=config.get("ArgsEscaped") is True,
    )


def _pair(entry: str) -> Pair:
    name, _, value = entry.partition("=")
    return name, value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _healthcheck(value: object) -> Healthcheck | None:
    if not isinstance(value, dict) or not value:
        return None
    names = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
    numbers = (value.get(name) for name in names)
    return Healthcheck(_texts(value.get("Test")), *(number if isinstance(number, int) else 0 for number in numbers))

"""The forms of texts that only containers have."""

import re
from typing import Annotated, Literal

import pydantic

from agent.kit import unix_signals
from agent.manifests.v1 import forms
from agent.oci import capabilities

Words = list[Annotated[str, forms.Form(r"^[^\x00]*$", "must not have a NUL character")]]

PORT = "must be written as 8080:80, 127.0.0.1:8080:80/udp or {host: 8080, container: 80}"
_SHORT = re.compile(r"(?:([0-9.]+):)?([0-9]{1,5}):([0-9]{1,5})(?:/([a-z]+))?")
_HIGHEST_PORT = 65535
_HIGHEST_ID = 2**31 - 1
_DIGITS = 10
"""Of a user's number."""
_NETWORK_WORDS = ("bridge", "host", "none")
_KERNELS = ("/dev", "/proc", "/sys")


def _short_port(value: str) -> str:
    match = _SHORT.fullmatch(value)
    if match is None:
        raise forms.TypeMismatch(PORT)
    if match[1]:
        forms.ipv4_address(match[1])
    if not all(1 <= int(number) <= _HIGHEST_PORT for number in (match[2], match[3])):
        raise forms.TypeMismatch(f"must have ports between 1 and {_HIGHEST_PORT}")
    _protocol(match[4] or "tcp")
    return value


def _protocol(value: str) -> str:
    if value == "sctp":
        raise forms.InvalidField("cannot be sctp, which is not built yet: tcp or udp")
    if value not in {"tcp", "udp"}:
        raise forms.TypeMismatch("must have tcp or udp as protocol")
    return value


def _mount_path(value: str) -> str:
    path = forms.normal_path(value)
    if ".." in path.split("/"):
        raise forms.TypeMismatch("must not go up by ..", hint="write where it ends up")
    if path == "/":
        raise forms.InvalidField("must not be /: that is the image's", hint="mount into a directory of it")
    if path in _KERNELS:
        raise forms.InvalidField(
            f"must not be {path}: every container has its own", hint="mount below it, or leave it out"
        )
    return value


def _capability(value: str) -> str:
    if not capabilities.exists(value):
        raise forms.TypeMismatch("must be a capability like NET_ADMIN, or ALL", hint="see capabilities(7)")
    return value


def _network_word(value: object) -> object:
    if value not in _NETWORK_WORDS:
        raise forms.TypeMismatch("must be bridge, host, none, or a list like [shop]")
    return value


def _user(value: str) -> str:
    if any(part.isdecimal() and (len(part) > _DIGITS or int(part) > _HIGHEST_ID) for part in value.split(":")):
        raise forms.TypeMismatch(f"must have numbers of {_HIGHEST_ID} at most")
    return value


def _signal(value: str) -> str:
    if value and not unix_signals.exists(value):
        raise forms.TypeMismatch("must be a signal like SIGTERM, TERM, 15 or SIGRTMIN+3", hint="see kill -l")
    return value


EnvironmentName = Annotated[str, forms.Form(r"^[^=\x00]+$", "must be a name without =, like TZ")]
HeaderName = Annotated[str, forms.Form(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "must be a header's name, like X-Token")]
HeaderValue = Annotated[str, forms.Form(r"^[^\x00-\x08\x0a-\x1f\x7f]*$", "must be a line without control characters")]
EnvironmentText = Annotated[forms.ScalarText, forms.Form(r"^[^\x00]*$", "must not have a NUL character")]
ShortPort = Annotated[
    str,
    pydantic.AfterValidator(_short_port),
    pydantic.WithJsonSchema(
        {"type": "string", "pattern": r"^([0-9]{1,3}(\.[0-9]{1,3}){3}:)?[0-9]{1,5}:[0-9]{1,5}(/(tcp|udp))?$"}
    ),
]
MountPath = Annotated[forms.AbsolutePath, pydantic.AfterValidator(_mount_path)]
Protocol = Annotated[
    str, pydantic.AfterValidator(_protocol), pydantic.WithJsonSchema({"type": "string", "enum": ["tcp", "udp"]})
]
Capability = Annotated[str, pydantic.AfterValidator(_capability)]
Wait = Annotated[forms.Duration, pydantic.AfterValidator(forms.positive)]
NetworkWord = Annotated[Literal["bridge", "host", "none"], pydantic.BeforeValidator(_network_word)]
User = Annotated[
    str,
    forms.Form(
        r"^([^:\s\x00-\x1f\x7f]+(:[^:\s\x00-\x1f\x7f]+)?)?$",
        "must be user or user:group, by name or number, like 1000:1000",
    ),
    pydantic.AfterValidator(_user),
]
Signal = Annotated[str, pydantic.AfterValidator(_signal)]
HttpPath = Annotated[str, forms.Form(r"^/[^\s]*$", "must begin with / and have no spaces, like /healthz?full=1")]
WorkingDirectory = Annotated[str, forms.Form(r"^(/[^\x00]*)?$", "must be an absolute path, like /srv/app")]
SourcePath = Annotated[
    str,
    pydantic.StringConstraints(max_length=forms.LONGEST_PATH),
    forms.Form(r"^[^\x00]+$", "must be a path, like ./web.env"),
]
HostName = Annotated[
    str,
    forms.Form(r"^([a-zA-Z0-9]([-a-zA-Z0-9.]{0,61}[a-zA-Z0-9])?)?$", "must be a host name, like web.example.org", 63),
]

"""Base64 as Secrets have it, and what is wrong in what is none."""

import base64
import re

from agent.manifests.v1 import forms

_WHOLE = re.compile(r"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_OUTSIDE = re.compile(r"[^A-Za-z0-9+/=]")
_URL_SAFE = re.compile(r"[A-Za-z0-9_=-]*")
_GROUP = 4
"""Characters that stand for three bytes."""
_HINT = "write the text itself to stringData, or encode it: printf %s TEXT | base64 -w0"


def decoded(key: str, value: str) -> bytes:
    """Return the bytes of a value of ``data``, whose white space says nothing. Raises ``forms.InvalidField``."""
    text = "".join(value.split())
    if not _WHOLE.fullmatch(text):  # as Kubernetes is; Python's own reader takes some more
        message = f"has a value of {key[:50]} that is not base64: {_fault(text)}"
        raise forms.InvalidField(message, hint=_HINT, at="data", entry=(key,))
    return base64.b64decode(text)


def _fault(text: str) -> str:
    """Return what is wrong; neither where nor how long it is, as it may be a password as it stands."""
    outside = _OUTSIDE.search(text)
    body = text.rstrip("=")
    if outside is not None and _URL_SAFE.fullmatch(text):
        return "it is in the form for URLs, which has - and _ for + and /"
    if outside is not None:
        return "it has a character that is none of base64's"
    if "=" in body:
        return "it has = before its end"
    if len(body) % _GROUP == 1:
        return "something of it is missing"
    lacking = -len(body) % _GROUP
    return f"it ends with {len(text) - len(body) or 'no'} =, and {lacking or 'none'} would be right"

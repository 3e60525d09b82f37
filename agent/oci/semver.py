"""Versions and ranges of them as npm reads them: Semantic Versioning 2.0, and node-semver's ranges to the letter.

A range is rewritten to plain comparisons step by step, in the steps and with the grammar of node-semver (7.8, ISC
licence): people know what it does, and there is no other specification of ranges. Build metadata counts for nothing.
"""

import functools
import operator
import re
from collections.abc import Callable

from agent.kit import frozen

_LONGEST = 256
_LARGEST = 2**53 - 1
"""The largest part of a version: JavaScript's largest exact integer."""

_NUMBER = r"0|[1-9]\d*"
_IDENTIFIER = rf"(?:\d*[a-zA-Z-][a-zA-Z0-9-]*|{_NUMBER})"
_PRERELEASE = rf"(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))"
_BUILD = r"(?:\+(?:[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*))"
_FULL = rf"v?({_NUMBER})\.({_NUMBER})\.({_NUMBER}){_PRERELEASE}?{_BUILD}?"
_LOOSE = r"[v=\s]*\d+\.\d+\.\d+(?:-?(?:\d*[a-zA-Z-][a-zA-Z0-9-]*|\d+)(?:\.(?:\d*[a-zA-Z-][a-zA-Z0-9-]*|\d+))*)?"
_X = rf"{_NUMBER}|x|X|\*"
_PARTIAL = rf"[v=\s]*({_X})(?:\.({_X})(?:\.({_X})(?:{_PRERELEASE})?{_BUILD}?)?)?"
_BARE_PARTIAL = re.sub(r"\((?!\?)", "(?:", _PARTIAL)
_RELATION = r"((?:<|>)?=?)"


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


_VERSION = _compiled(_FULL)
_ANY_BUILD = _compiled(_BUILD)
_HYPHEN = _compiled(rf"({_PARTIAL}) - ({_PARTIAL})")
_BLANKS_BEHIND_RELATION = _compiled(rf"(\s*){_RELATION}\s*({_LOOSE}{_BUILD}?|{_BARE_PARTIAL})")
_BLANKS_BEHIND_TILDE = _compiled(r"(\s*)~>?\s+")
_BLANKS_BEHIND_CARET = _compiled(r"(\s*)\^\s+")
_TILDE = _compiled(rf"~>?{_PARTIAL}")
_CARET = _compiled(rf"\^{_PARTIAL}")
_XRANGE = _compiled(rf"{_RELATION}\s*{_PARTIAL}")
_STAR = _compiled(r"(?:<|>)?=?\s*\*")
_COMPARATOR = _compiled(rf"{_RELATION}\s*({_FULL})")
_NOTHING = "<0.0.0-0"
_RELATIONS: dict[str, Callable[["Version", "Version"], bool]] = {
    "": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@functools.total_ordering
@frozen.value
class Version:
    """A version, in the order of versions."""

    release: tuple[int, int, int]
    prerelease: tuple[int | str, ...]
    """Empty for a release."""

    def __lt__(self, other: "Version") -> bool:
        """Return whether this version is lower."""
        return self._rank() < other._rank()

    def _rank(self) -> tuple[object, ...]:
        """Return a sort key: a pre-release is before its release, and a number before a word."""
        parts = tuple((0, part, "") if isinstance(part, int) else (1, 0, part) for part in self.prerelease)
        return (self.release, 0 if parts else 1, parts)


def parse(text: str) -> Version:
    """Read a version, perhaps behind a ``v``. Raises ``ValueError``."""
    match = _VERSION.fullmatch(text)
    if match is None or len(text) > _LONGEST:
        raise ValueError(f"{text[:_LONGEST]!r} is no version")
    return _version(match, 1)


def _version(match: re.Match[str], first: int) -> Version:
    """Return the version of four groups. Raises ``ValueError``."""
    major, minor, patch, prerelease = match.group(first, first + 1, first + 2, first + 3)
    release = (int(major), int(minor), int(patch))
    if max(release) > _LARGEST:
        raise ValueError(f"{match[0]!r} has a number that is too large")
    parts = (prerelease or "").split(".") if prerelease else []
    return Version(release, tuple(int(part) if part.isdigit() else part for part in parts))


@frozen.value
class _Comparator:
    """A comparison with one version."""

    relation: str
    version: Version

    def holds(self, version: Version) -> bool:
        return _RELATIONS[self.relation](version, self.version)


_Set = tuple[_Comparator, ...]
"""Comparisons that must all hold; none: any version matches."""


@frozen.value
class Range:
    """A range of versions."""

    alternatives: tuple[_Set, ...]

    def matches(self, version: Version) -> bool:
        """Return whether a version is in the range; a pre-release only if the range names one of the same version."""
        return any(_matches(comparators, version) for comparators in self.alternatives)


def _matches(comparators: _Set, version: Version) -> bool:
    if not all(comparator.holds(version) for comparator in comparators):
        return False
    if not version.prerelease:
        return True
    named = (comparator.version for comparator in comparators if comparator.version.prerelease)
    return any(bound.release == version.release for bound in named)


def parse_range(text: str) -> Range:
    """Read a range: ``^1.2``, ``~1.27``, ``>= 1.2 <2``, ``1.x``, ``1.2 - 1.4``, ``1 || 3``. Raises ``ValueError``."""
    if len(text) > _LONGEST:
        raise ValueError("a range is too long")
    return Range(tuple(_alternative(part.strip()) for part in " ".join(text.split()).split("||")))


def _alternative(text: str) -> _Set:
    text = _ANY_BUILD.sub("", text)
    hyphen = _HYPHEN.fullmatch(text)
    text = _between(hyphen) if hyphen else text
    text = _BLANKS_BEHIND_RELATION.sub(r"\1\2\3", text)
    text = _BLANKS_BEHIND_TILDE.sub(r"\1~", text)
    text = _BLANKS_BEHIND_CARET.sub(r"\1^", text)
    plain = [word for part in text.split(" ") for word in _plain(part).split()]
    comparators = [_comparator(word) for word in plain if word != ">=0.0.0"]
    if _NOTHING in plain:
        return (_comparator(_NOTHING),)
    return tuple(dict.fromkeys(comparators))


def _comparator(word: str) -> _Comparator:
    match = _COMPARATOR.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} is no comparison with a version")
    return _Comparator("" if match[1] == "=" else match[1], _version(match, 3))


def _plain(part: str) -> str:
    """Rewrite carets, tildes and placeholders to comparisons."""
    for pattern, rewrite in ((_CARET, _caret), (_TILDE, _tilde), (_XRANGE, _partial)):
        words = part.split() or [""]
        matches = [(word, pattern.fullmatch(word)) for word in words]
        part = " ".join(rewrite(match) if match else word for word, match in matches)
    return _STAR.sub("", part, count=1)


def _is_any(part: str | None) -> bool:
    return not part or part in "xX*"


def _next(*parts: str) -> str:
    """Return the comparison that holds for all versions that begin with these parts, and for lower ones."""
    numbers = [int(part) for part in parts]
    numbers[-1] += 1
    return "<" + ".".join(map(str, [*numbers, 0, 0][:3])) + "-0"


def _caret(match: re.Match[str]) -> str:
    major, minor, patch, prerelease = match.groups()
    if _is_any(major):
        return ""
    if _is_any(minor):
        return f">={major}.0.0 {_next(major)}"
    if _is_any(patch):
        return f">={major}.{minor}.0 {_next(major, minor) if major == '0' else _next(major)}"
    least = f">={major}.{minor}.{patch}" + (f"-{prerelease}" if prerelease else "")
    if major != "0":
        return f"{least} {_next(major)}"
    return f"{least} {_next(major, minor, patch) if minor == '0' else _next(major, minor)}"


def _tilde(match: re.Match[str]) -> str:
    major, minor, patch, prerelease = match.groups()
    if _is_any(major):
        return ""
    if _is_any(minor):
        return f">={major}.0.0 {_next(major)}"
    if _is_any(patch):
        return f">={major}.{minor}.0 {_next(major, minor)}"
    least = f">={major}.{minor}.{patch}" + (f"-{prerelease}" if prerelease else "")
    return f"{least} {_next(major, minor)}"


def _partial(match: re.Match[str]) -> str:
    """Rewrite a version with placeholders or missing parts as comparisons; a complete one stays as it is."""
    relation, major, minor, patch, _ = match.groups()
    if (_is_any(major) and not _is_any(minor)) or (_is_any(minor) and patch and not _is_any(patch)):
        return match[0]
    if _is_any(major):
        return _NOTHING if relation in {"<", ">"} else "*"
    numbers = [major] if _is_any(minor) else [major, minor]
    if len(numbers) == 2 and not _is_any(patch):  # noqa: PLR2004 - all three are there
        return match[0]
    least = ".".join([*numbers, "0", "0"][:3])
    match relation:
        case ">":
            return ">=" + _next(*numbers)[1:].removesuffix("-0")
        case "<=":
            return _next(*numbers)
        case "<":
            return f"<{least}-0"
        case ">=":
            return f">={least}"
        case _:
            return f">={least} {_next(*numbers)}"


def _between(match: re.Match[str]) -> str:
    """Rewrite ``from - to``."""
    lower, major, minor, patch, _, upper, up_major, up_minor, up_patch, up_prerelease = match.groups()
    if _is_any(major):
        lower = ""
    elif _is_any(minor):
        lower = f">={major}.0.0"
    elif _is_any(patch):
        lower = f">={major}.{minor}.0"
    else:
        lower = f">={lower}"
    if _is_any(up_major):
        upper = ""
    elif _is_any(up_minor):
        upper = _next(up_major)
    elif _is_any(up_patch):
        upper = _next(up_major, up_minor)
    else:
        upper = f"<={up_major}.{up_minor}.{up_patch}-{up_prerelease}" if up_prerelease else f"<={upper}"
    return f"{lower} {upper}".strip()

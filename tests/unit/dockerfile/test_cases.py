"""Small Dockerfiles: what each is, or what is wrong in it and where.

``python -m tests.unit.dockerfile.test_cases`` writes what they are now into the files of expectations, to be read
before it is committed.
"""

import pathlib

import pytest

from tests.unit.dockerfile import outline

FOLDER = pathlib.Path(__file__).parent / "cases"


def cases(path: pathlib.Path) -> dict[str, bytes]:
    """Return Dockerfiles by their names; in ``bytes.txt`` escapes are Python's, of one line each."""
    parts = path.read_text(encoding="utf-8").split("=== ")[1:]
    named = dict(part.split("\n", 1) for part in parts)
    if path.stem != "bytes":
        return {name: text.encode() for name, text in named.items()}
    return {
        name: text.removesuffix("\n").encode("latin-1", "backslashreplace").decode("unicode_escape").encode()
        for name, text in named.items()
    }


def expected(path: pathlib.Path) -> dict[str, str]:
    parts = path.with_suffix(".expected").read_text(encoding="utf-8").split("=== ")[1:]
    return dict(part.split("\n", 1) for part in parts)


def result(data: bytes) -> str:
    return "".join(f"{line}\n" for line in outline.outline(data))


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path in sorted(FOLDER.glob("*.txt")) for name in cases(path)]
)
def test_dockerfile__parsed__is_as_expected(path: pathlib.Path, name: str) -> None:
    assert result(cases(path)[name]) == expected(path)[name]


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.txt")):
        texts = (f"=== {name}\n{result(data)}" for name, data in cases(path).items())
        path.with_suffix(".expected").write_text("".join(texts), encoding="utf-8")

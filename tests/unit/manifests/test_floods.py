"""Files that are made, or grown, to take for ever: each is read soon, and told in few and short lines."""

import time

import pytest

from agent.manifests import pipeline, problem

HEAD = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\nspec:\n  image: nginx\n"
SOON = 10.0
"""Seconds of CPU, on a machine that has little: what was quadratic took minutes."""


def parsed(text: str | bytes) -> pipeline.Parsed:
    """Read one file, soon."""
    data = text if isinstance(text, bytes) else text.encode()
    began = time.thread_time()
    result = pipeline.parse([pipeline.ManifestFile("flood.yaml", "/srv", data)])
    assert time.thread_time() - began < SOON
    assert len(result.problems) <= problem.MOST + 1
    assert all(len(str(problem)) < 1000 for problem in result.problems)
    return result


def documents(count: int, text: str) -> str:
    """Return many documents, with their number for ``%d``."""
    return "\n---\n".join(text.replace("%d", str(number)) for number in range(count))


CONTAINER = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: c%d}\nspec: {image: nginx, SPEC}"
FLOODS = {
    "names of one mapping": HEAD + "  env:\n" + "".join(f"    {number}=: x\n" for number in range(30_000)),
    "unknown fields": HEAD + "".join(f"  imag{number}: x\n" for number in range(30_000)),
    "entries of one list": HEAD + "  ports:\n" + "".join("  - x\n" for _ in range(30_000)),
    "mounts that are one": HEAD + "  mounts:\n" + "  - {tmpfs: 1Mi, path: /tmp}\n" * 5_000,
    "documents that are no manifests": documents(50_000, "[]"),
    "documents of an unknown kind": documents(20_000, "{apiVersion: trimtab.dev/v1, kind: Containr}"),
    "references to nothing": documents(3_000, CONTAINER.replace("SPEC", "dependsOn: [{container: d%d}]")),
    "one port": documents(3_000, CONTAINER.replace("SPEC", "ports: ['80:80']")),
    "one name": documents(5_000, CONTAINER.replace("SPEC", "").replace("c%d", "one")),
}


@pytest.mark.parametrize("name", FLOODS)
def test_flood_of_problems__the_first_are_told_and_how_many_more_there_are(name: str) -> None:
    problems = parsed(FLOODS[name]).problems
    assert len(problems) == problem.MOST + 1
    assert problems[-1].message.endswith("more problems at least")
    assert problems[-1].hint == "mend the first ones, and look again"


def test_flood__in_one_document__is_counted() -> None:
    text = HEAD + "  env:\n" + "".join(f"    V{number}: []\n" for number in range(60_000))
    assert parsed(text).problems[-1].message == "there are 59800 more problems at least"


def test_exactly_as_many_as_are_told__nothing_is_said_of_more() -> None:
    text = HEAD + "  env:\n" + "".join(f"    V{number:03}: []\n" for number in range(problem.MOST))
    problems = parsed(text).problems
    assert len(problems) == problem.MOST
    assert "more problems" not in problems[-1].message


SOUND = {
    "distinct addresses of one port": documents(3_000, CONTAINER.replace("SPEC", "ports: ['127.1.NUMBER:80:80']")),
    "a long row of dependencies": documents(
        3_000, CONTAINER.replace("SPEC", "dependsOn: [{container: c%d}]").replace("c%d}]", "cBEFORE}]")
    ),
    "many subnets": documents(
        3_000, "apiVersion: trimtab.dev/v1\nkind: Network\nmetadata: {name: n%d}\nspec: {subnets: [10.SUBNET.0/28]}"
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_many_sound_objects__are_read_in_linear_time(name: str) -> None:
    parts = []
    for number, pattern in enumerate(SOUND[name].split("\n---\n")):
        before = f"dependsOn: [{{container: c{number - 1}}}]" if number else "dependsOn: []"
        text = pattern.replace("dependsOn: [{container: cBEFORE}]", before)
        text = text.replace("127.1.NUMBER", f"127.1.{number // 250}.{number % 250}")
        parts.append(text.replace("10.SUBNET.0", f"10.{number // 250}.{number % 250}.0"))
    assert parsed("\n---\n".join(parts)).problems == ()


LETTERS = "abcdefghi"
BOMBS = {
    "laughs": "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{b}: &{b} [{','.join(f'*{a}' for _ in range(10))}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "itself": "a: &a [*a]\n",
    "keys of itself": "a: &a {b: *a, c: *a}\n",
    "deep flow": "[" * 100_000,
    "deep mapping": "{a: " * 100_000,
    "deep block": "".join(" " * depth + "a:\n" for depth in range(2_000)),
    "deep sequence": "- " * 100_000,
    "huge key": HEAD + f"  {'k' * 4_000_000}: x\n",
    "huge key twice": f"? {'k' * 1_000_000}\n: x\n? {'k' * 1_000_000}\n: x\n",
    "huge kind": f"apiVersion: trimtab.dev/v1\nkind: {'k' * 4_000_000}\n",
    "huge value": HEAD.replace("nginx", "n" * 4_000_000),
    "huge number": HEAD + f"  resources: {{memory: {'9' * 4_000_000}}}\n",
    "huge fraction": HEAD + f"  resources: {{memory: 1.{'9' * 4_000_000}}}\n",
    "huge exponent": HEAD + "  resources: {memory: '1e999999999'}\n",
    "huge name": HEAD.replace("web", "w" * 4_000_000),
    "anchors": "".join(f"a{number}: &a{number} x\n" for number in range(30_000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb__is_refused_soon_and_in_short_words(name: str) -> None:
    assert parsed(BOMBS[name]).problems


MARK = "\ufeff"


@pytest.mark.parametrize(
    "text",
    [
        f"{MARK}{HEAD}",
        f"{MARK}---\n{HEAD}",
        f"{HEAD}---\n{MARK}{HEAD.replace('web', 'other')}",
        f"{HEAD}{MARK}---\n{HEAD.replace('web', 'other')}",
        f"{HEAD}---\n# a remark\n\n{MARK}{HEAD.replace('web', 'other')}",
        f"{HEAD}---\r\n{MARK}{HEAD.replace('web', 'other')}",
        f"{MARK}{HEAD}{MARK}---\n{HEAD.replace('web', 'other')}",
        f"{HEAD}...\n{MARK}---\n{HEAD.replace('web', 'other')}",
    ],
)
def test_byte_order_marks__before_any_document__are_none_of_it(text: str) -> None:
    result = parsed(text)
    assert result.problems == ()
    assert [manifest.key.name for manifest in result.manifests] == (["web", "other"] if "other" in text else ["web"])


def test_byte_order_mark__within_a_value__is_part_of_it() -> None:
    result = parsed(HEAD + f'  env: {{A: "x{MARK}y"}}\n')
    assert result.manifests[0].object.spec.env == {"A": f"x{MARK}y"}

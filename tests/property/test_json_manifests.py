"""Whatever JSON there is, a manifest file gives it as Python's own reader does, however it is written."""

import json

import hypothesis
from hypothesis import strategies as st

from agent.manifests import decode

hypothesis.settings.register_profile("suite", deadline=None, max_examples=150, derandomize=True)
hypothesis.settings.load_profile("suite")

LEAVES = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(-1e9, 1e9) | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)
DOCUMENTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


@hypothesis.given(
    documents=st.lists(DOCUMENTS, min_size=1, max_size=3), ascii_only=st.booleans(), indent=st.sampled_from([None, 2])
)
def test_json__is_read_as_it_was_written(documents: list[object], *, ascii_only: bool, indent: int | None) -> None:
    texts = [json.dumps(document, ensure_ascii=ascii_only, indent=indent) for document in documents]
    read, problems = decode.decode("a.yaml", "\n---\n".join(texts).encode())
    assert problems == []
    assert [document.value for document in read] == documents


@hypothesis.given(text=st.text('{}[]",:\\ud83e0 \n-#a1\x7f', max_size=40), path=st.sampled_from(["a.json", "a.yaml"]))
def test_text_that_resembles_json__is_read_or_refused_in_one_line(text: str, path: str) -> None:
    documents, problems = decode.decode(path, text.encode())
    assert len(problems) <= 1
    assert not (documents and problems)
    assert all("\n" not in str(problem) and problem.line >= 1 and problem.column >= 1 for problem in problems)
    try:
        value = json.loads(text)
    except ValueError:
        return
    if isinstance(value, dict | list) and not problems:
        assert [document.value for document in documents] == [value]

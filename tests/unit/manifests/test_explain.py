"""``explain`` as people type it."""

from agent.manifests import explain, registry


def test_explain__no_path__lists_every_kind_with_its_description() -> None:
    text = explain.explain("")
    assert all(f"  {kind.lower()} <{kind}>\n" in text for kind in registry.MODELS)
    assert "Data that outlives containers." in text


def test_explain__path__still_lists_fields() -> None:
    assert "FIELDS" in explain.explain("container.spec")

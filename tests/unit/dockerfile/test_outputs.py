"""Where a build's result goes."""

import pytest

from agent.dockerfile import outputs

LOCAL, TAR, IMAGE = outputs.OutputType.LOCAL, outputs.OutputType.TAR, outputs.OutputType.IMAGE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out", outputs.Output(LOCAL, "out")),
        ("/srv/a=b", outputs.Output(LOCAL, "/srv/a=b")),
        ("-", outputs.Output(TAR, "-")),
        ("type=local,dest=out", outputs.Output(LOCAL, "out")),
        ("type=tar,dest=out.tar", outputs.Output(TAR, "out.tar")),
        ("dest=-, type=tar", outputs.Output(TAR, "-")),
        ("type=image", outputs.Output(IMAGE)),
    ],
)
def test_parse__as_buildkit_has_them(text: str, expected: outputs.Output) -> None:
    assert outputs.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "it is empty"),
        ("type=local", "dest= does not go with type=local"),
        ("type=local,dest=-", "dest=- does not go with type=local"),
        ("type=tar", "dest= does not go with type=tar"),
        ("type=image,dest=x", "dest=x does not go with type=image"),
        ("type=oci,dest=x", "trimtab image save"),
        ("type=docker", "trimtab image save"),
        ("type=registry", "trimtab image push"),
        ("type=other", "type=other is not known"),
        ("type=tar,dest=x,compression=zstd", "compression is not known"),
        ("dest=x", "type= is not known"),
    ],
)
def test_parse__of_another_kind__is_refused(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        outputs.parse(text)

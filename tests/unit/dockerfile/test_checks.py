"""BuildKit's build checks: each has a Dockerfile that breaks it, and one beside it that does not."""

import pytest

from agent.dockerfile import checks, ignore, parse

ALL = {
    "ConsistentInstructionCasing",
    "CopyIgnoredFile",
    "DuplicateStageName",
    "ExposeInvalidFormat",
    "ExposeProtoCasing",
    "FromAsCasing",
    "FromPlatformFlagConstDisallowed",
    "InvalidDefaultArgInFrom",
    "JSONArgsRecommended",
    "LegacyKeyValueFormat",
    "MaintainerDeprecated",
    "MultipleInstructionsDisallowed",
    "NoEmptyContinuation",
    "RedundantTargetPlatform",
    "ReservedStageName",
    "SecretsUsedInArgOrEnv",
    "StageNameCasing",
    "UndefinedArgInFrom",
    "UndefinedVar",
    "WorkdirRelativePath",
}
"""The checks of docs.docker.com/reference/build-checks, without InvalidDefinitionDescription, which is experimental."""

CASES = [
    ("FROM a AS One", "1 StageNameCasing"),
    ("FROM a as one", "1 FromAsCasing"),
    ("from a as one", ""),
    ("from a AS one", "1 FromAsCasing"),
    ("FROM a AS b\nFROM c AS B", "2 DuplicateStageName, 2 StageNameCasing"),
    ("FROM a AS scratch", "1 ReservedStageName"),
    ("FROM a AS context", "1 ReservedStageName"),
    ("FROM a\nrun b\nRUN c", "2 ConsistentInstructionCasing"),
    ("from a\nRUN b\nrun c", "2 ConsistentInstructionCasing"),
    ("FROM a\nRun b\nRUN c", "2 ConsistentInstructionCasing"),
    ("from a\nrun b", ""),
    ("FROM a\nrun b", "2 ConsistentInstructionCasing"),
    ("FROM a\nRUN b \\\n\n c", "2 NoEmptyContinuation"),
    ("FROM a\nRUN b \\\n# c\n d", ""),
    ("FROM a\nMAINTAINER me", "2 MaintainerDeprecated"),
    ("FROM a\nCMD b", "2 JSONArgsRecommended"),
    ("FROM a\nENTRYPOINT b", "2 JSONArgsRecommended"),
    ('FROM a\nENTRYPOINT ["b"]\nCMD ["c"]\nRUN d', ""),
    ('FROM a\nSHELL ["/bin/bash", "-c"]\nCMD b', ""),
    ('FROM a AS x\nSHELL ["/bin/bash", "-c"]\nFROM x\nCMD b', ""),
    ('FROM a\nCMD ["b"]\nCMD ["c"]\nCMD ["d"]', "2 MultipleInstructionsDisallowed, 3 MultipleInstructionsDisallowed"),
    ('FROM a\nENTRYPOINT ["b"]\nENTRYPOINT ["c"]', "2 MultipleInstructionsDisallowed"),
    ("FROM a\nHEALTHCHECK CMD b\nHEALTHCHECK NONE", "2 MultipleInstructionsDisallowed"),
    ('FROM a\nCMD ["b"]\nFROM c\nCMD ["d"]', ""),
    ("FROM a\nENV b c", "2 LegacyKeyValueFormat"),
    ("FROM a\nLABEL b c", "2 LegacyKeyValueFormat"),
    ("FROM a\nENV b=c\nLABEL b=c", ""),
    ("FROM a\nWORKDIR b", "2 WorkdirRelativePath"),
    ("FROM a\nWORKDIR /b\nWORKDIR c", ""),
    ("FROM a AS x\nWORKDIR /b\nFROM x\nWORKDIR c", ""),
    ("FROM a\nWORKDIR $B", ""),
    ("FROM a\nARG DB_PASSWORD", "2 SecretsUsedInArgOrEnv"),
    ("FROM a\nENV AWS_SECRET_ACCESS_KEY=x api_token=y", "2 SecretsUsedInArgOrEnv, 2 SecretsUsedInArgOrEnv"),
    ("FROM a\nARG PUBLIC_KEY=x\nENV KEYBOARD=x MONKEY=y", ""),
    ("FROM a\nEXPOSE 80/TCP 53/udp", "2 ExposeProtoCasing"),
    ("FROM a\nEXPOSE 127.0.0.1:80:80 8080:80", "2 ExposeInvalidFormat, 2 ExposeInvalidFormat"),
    ("FROM a\nEXPOSE 80 $P 81-82/tcp ${P:-90}", ""),
    ("FROM --platform=linux/arm64 a", "1 FromPlatformFlagConstDisallowed"),
    ("FROM --platform=linux/arm64 a AS build_arm64", ""),
    ("FROM --platform=$BUILDPLATFORM a", ""),
    ("FROM --platform=$TARGETPLATFORM a", "1 RedundantTargetPlatform"),
    ("FROM --platform=${TARGETPLATFORM} a", "1 RedundantTargetPlatform"),
    ("FROM a:$V", "1 UndefinedArgInFrom"),
    ("FROM --platform=$BULDPLATFORM a", "1 UndefinedArgInFrom"),
    ("FROM a:${V:-1}", ""),
    ("ARG V=1\nFROM a:$V", ""),
    ("ARG V\nFROM a:$V", "2 InvalidDefaultArgInFrom"),
    ("ARG V\nFROM $V", "2 InvalidDefaultArgInFrom"),
    ("ARG V=\nFROM a:${V:-b}", ""),
    ("FROM scratch\nCOPY $A /", "2 UndefinedVar"),
    ("FROM scratch\nARG A\nCOPY $A /", ""),
    ("FROM scratch\nENV A=b\nCOPY $A ${B:-c} /", ""),
    ("FROM scratch\nENV A=$HTTP_PROXY B=$http_proxy", ""),
    ("FROM a\nCOPY $GOPATH /", ""),
    ("FROM a\nARG VERSION=1\nENV V=$VERSON", "3 UndefinedVar"),
    ("FROM scratch AS x\nENV A=1\nFROM x\nENV B=$A C=$D", "4 UndefinedVar"),
    ('FROM scratch\nRUN echo $A\nCMD ["$A"]', ""),
    ("FROM scratch\nUSER $A\nWORKDIR /$A\nLABEL a=$A\nEXPOSE $A\nVOLUME $A\nSTOPSIGNAL $A", "2-7 UndefinedVar"),
    ("FROM a\nCOPY b.txt b/c /", "2 CopyIgnoredFile, 2 CopyIgnoredFile"),
    ("FROM a\nADD ./b.txt /", "2 CopyIgnoredFile"),
    ("FROM a\nCOPY --from=x b.txt /\nCOPY b* c . $b /", ""),
]


def findings(text: str, chosen: checks.Choice = checks.Choice()) -> list[checks.Finding]:
    parsed = parse.parse(text.encode())
    assert parsed.mistakes == ()
    return list(checks.check(parsed, chosen, ignore.parse(b"b\nb.txt")))


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_check__dockerfile__is_told_what_is_likely_meant_otherwise(text: str, expected: str) -> None:
    if expected == "2-7 UndefinedVar":
        expected = ", ".join(f"{line} UndefinedVar" for line in range(2, 8))
    assert ", ".join(f"{finding.position[0]} {finding.rule}" for finding in findings(text)) == expected


def test_check__all_cases__break_each_check() -> None:
    assert {finding.rule for text, _ in CASES for finding in findings(text)} == ALL


def test_check__several_findings__have_messages_and_ways_out() -> None:
    text = "FROM scratch AS X\nENV a b\nWORKDIR c\nCMD d $E\nARG F_TOKEN=$G"
    assert [f"{finding.rule}: {finding.message} ({finding.hint})" for finding in findings(text)] == [
        "StageNameCasing: the stage's name X has capitals (write x)",
        "LegacyKeyValueFormat: ENV without = is an old form (write ENV NAME=VALUE)",
        "WorkdirRelativePath: c is relative to what the image below has set (write /c)",
        (
            "JSONArgsRecommended: the shell form does not pass signals on to the program"
            ' (write it as ["PROGRAM", "ARGUMENT"])'
        ),
        (
            "SecretsUsedInArgOrEnv: ARG F_TOKEN stays in the image, or its history, for everybody to read"
            " (use RUN --mount=type=secret)"
        ),
        "UndefinedVar: the variable G is not set (declare it: ARG G, or ENV G=VALUE)",
    ]


@pytest.mark.parametrize(
    ("directive", "expected"),
    [
        ("", checks.Choice()),
        ("skip=all", checks.Choice(frozenset({"all"}), skips_all=True)),
        (
            "skip=JSONArgsRecommended, StageNameCasing",
            checks.Choice(frozenset({"jsonargsrecommended", "stagenamecasing"})),
        ),
        ("error=true", checks.Choice(is_error=True)),
        ("skip=A;error=TRUE", checks.Choice(frozenset({"a"}), is_error=True)),
        ("error=false", checks.Choice()),
    ],
)
def test_choice__directive__is_read(directive: str, expected: checks.Choice) -> None:
    assert checks.choice(directive) == expected


@pytest.mark.parametrize("directive", ["skp=all", "error=maybe", "all"])
def test_choice__no_directive_of_the_kind__is_told(directive: str) -> None:
    with pytest.raises(ValueError, match=r"is none of skip=NAME,\.\.\. and error=true"):
        checks.choice(directive)


def test_check__skipped_checks__tell_nothing() -> None:
    text = "FROM a AS X\nCMD b"
    assert [finding.rule for finding in findings(text, checks.choice("skip=StageNameCasing"))] == [
        "JSONArgsRecommended"
    ]
    assert findings(text, checks.choice("skip=all")) == []

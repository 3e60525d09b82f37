"""What a stage's instructions make of a configuration, what they do to files, and what history says of it."""

import dataclasses

import pytest

from agent.dockerfile import configuration, evaluate, instructions, mistake, parse

BASE = configuration.Configuration(env=(("PATH", "/bin"), ("LANG", "C")), cmd=("sh",), working_dir="/srv", user="web")


def walk(
    text: str,
    base: configuration.Configuration = BASE,
    options: evaluate.Options = evaluate.Options(),
) -> tuple[evaluate.Frame, list[evaluate.Step]]:
    """Follow the instructions of a stage."""
    parsed = parse.parse(f"FROM base\n{text}\n".encode())
    assert parsed.mistakes == ()
    frame, steps = evaluate.begin(base), list[evaluate.Step]()
    for instruction in parsed.dockerfile.stages[0].instructions:
        frame, step = evaluate.follow(frame, instruction, options)
        steps += [] if step is None else [step]
    return frame, steps


def history(text: str, options: evaluate.Options = evaluate.Options()) -> list[str]:
    """Return the history of a stage; a layer has a plus in front."""
    frame, _ = walk(text, options=options)
    return [f"{'+' * entry.has_layer}{entry.created_by}" for entry in frame.history]


def run(text: str, **fields: object) -> evaluate.RunStep:
    """Return the last step, which is a RUN."""
    _, steps = walk(text, **fields)  # type: ignore[arg-type] # what walk takes
    assert isinstance(steps[-1], evaluate.RunStep)
    return steps[-1]


def copy(text: str) -> evaluate.CopyStep:
    """Return the last step, which is a COPY or ADD."""
    _, steps = walk(text)
    assert isinstance(steps[-1], evaluate.CopyStep)
    return steps[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ENV A=1 LANG=D", {"env": (("PATH", "/bin"), ("LANG", "D"), ("A", "1"))}),
        ('ENV A="x y" B=$A', {"env": (*BASE.env, ("A", "x y"), ("B", ""))}),
        ("ENV A=1\nENV B=${A}2 A=3", {"env": (*BASE.env, ("A", "3"), ("B", "12"))}),
        ("ENV A $LANG is  it", {"env": (*BASE.env, ("A", "C is  it"))}),
        ("ARG V=1\nENV A=$V", {"env": (*BASE.env, ("A", "1"))}),
        ("ARG V\nENV A=$V", {"env": (*BASE.env, ("A", ""))}),
        ("ENV V=2\nARG V=1\nENV A=$V", {"env": (*BASE.env, ("V", "2"), ("A", "1"))}),
        ("LABEL a=1 b=$LANG\nLABEL a=2", {"labels": (("a", "2"), ("b", "C"))}),
        ("CMD a b", {"cmd": ("/bin/sh", "-c", "a b"), "args_escaped": True}),
        ('CMD ["a", "$LANG"]', {"cmd": ("a", "$LANG"), "args_escaped": True}),
        ('SHELL ["ash", "-c"]\nCMD a', {"shell": ("ash", "-c"), "cmd": ("ash", "-c", "a"), "args_escaped": True}),
        ("ENTRYPOINT a", {"entrypoint": ("/bin/sh", "-c", "a"), "cmd": None}),
        ('ENTRYPOINT ["a"]', {"entrypoint": ("a",), "cmd": None}),
        ('CMD ["b"]\nENTRYPOINT ["a"]', {"entrypoint": ("a",), "cmd": ("b",), "args_escaped": True}),
        ("ENTRYPOINT []", {"entrypoint": None, "cmd": None}),
        ("EXPOSE 80 53/UDP 8000-8002", {"ports": ("53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp")}),
        ("ARG P='1 2'\nEXPOSE $P 127.0.0.1:80:3", {"ports": ("1/tcp", "2/tcp", "3/tcp")}),
        ("VOLUME /b /a $LANG", {"volumes": ("/a", "/b", "C")}),
        ("USER $LANG:x", {"user": "C:x"}),
        ("WORKDIR a\nWORKDIR ../b/", {"working_dir": "/srv/b"}),
        ("WORKDIR /a/../c", {"working_dir": "/c"}),
        ("WORKDIR /", {"working_dir": "/"}),
        ("STOPSIGNAL SIGRTMIN+3", {"stop_signal": "SIGRTMIN+3"}),
        ("STOPSIGNAL 9", {"stop_signal": "9"}),
        ("MAINTAINER me <a@b>", {"author": "me <a@b>"}),
        ("HEALTHCHECK NONE", {"healthcheck": configuration.Healthcheck(("NONE",))}),
        (
            "HEALTHCHECK --retries=2 --timeout=1s CMD a b",
            {"healthcheck": configuration.Healthcheck(("CMD-SHELL", "a b"), timeout=10**9, retries=2)},
        ),
        ('HEALTHCHECK CMD ["a"]', {"healthcheck": configuration.Healthcheck(("CMD", "a"))}),
        ("ONBUILD RUN a\nONBUILD COPY b c", {"on_build": ("RUN a", "COPY b c")}),
    ],
)  # fmt: skip
def test_follow__instructions__change_the_configuration(text: str, expected: dict[str, object]) -> None:
    frame, _ = walk(text)
    assert frame.configuration == dataclasses.replace(BASE, **expected)  # type: ignore[arg-type] # fields by name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ENV A="x y" B=1', ["ENV A=x y B=1"]),
        ("LABEL a b", ["LABEL a=b"]),
        ("ARG A B=2", ["ARG A B=2"]),
        ("RUN a  b", ["+RUN /bin/sh -c a  b # buildkit"]),
        ('RUN ["a", "b"]', ["+RUN a b # buildkit"]),
        ("ARG A=1 B\nRUN c", ["ARG A=1 B", "+RUN |2 A=1 B= /bin/sh -c c # buildkit"]),
        ("ARG A=1\nENV A=2\nRUN c", ["ARG A=1", "ENV A=2", "+RUN |1 A=2 /bin/sh -c c # buildkit"]),
        ("COPY a b c/", ["+COPY a b c/ # buildkit"]),
        ("COPY --from=x --chown=1 --chmod=755 --link $LANG /d", ["+COPY --chown=1 --chmod=755 C /d # buildkit"]),
        ("COPY <<a <<b /d\na\nb", ["+COPY <<a <<b /d # buildkit"]),
        ("ADD a b", ["+ADD a b # buildkit"]),
        ("WORKDIR x", ["+WORKDIR /srv/x"]),
        ("WORKDIR /", ["WORKDIR /"]),
        ("USER a", ["USER a"]),
        ("CMD a", ['CMD ["/bin/sh" "-c" "a"]']),
        ('ENTRYPOINT ["a", "\\""]', ['ENTRYPOINT ["a" "\\""]']),
        ("VOLUME /b /a", ["VOLUME [/b /a]"]),
        ("EXPOSE 80 53/udp", ["EXPOSE map[53/udp:{} 80/tcp:{}]"]),
        ("STOPSIGNAL TERM", ["STOPSIGNAL TERM"]),
        ('SHELL ["a", "b"]', ["SHELL [a b]"]),
        ("MAINTAINER me", ["MAINTAINER me"]),
        ("ONBUILD RUN a", []),
    ],
)
def test_follow__history__is_buildkits(text: str, expected: list[str]) -> None:
    assert history(text) == expected


def test_follow__build_arguments__win_over_defaults_and_only_where_they_are_declared() -> None:
    options = evaluate.Options(build_args={"A": "given", "C": "unused"}, global_args={"B": "global", "A": "other"})
    step = run("ARG A=default B B2=$B\nRUN x", options=options)
    assert step.env == (*BASE.env, ("A", "given"), ("B", "global"), ("B2", "global"))
    assert history("ARG A B\nRUN x", options) == [
        "ARG A B",
        "+RUN |2 A=given B=global /bin/sh -c x # buildkit",
    ]


def test_follow__run__knows_user_directory_and_variables() -> None:
    step = run("ENV A=1\nARG B=2\nWORKDIR w\nUSER u\nRUN --network=none --security=insecure x $A")
    assert (step.words, step.directory, step.user) == (("/bin/sh", "-c", "x $A"), "/srv/w", "u")
    assert (step.network, step.security, step.env) == ("none", "insecure", (*BASE.env, ("A", "1"), ("B", "2")))


def test_follow__mounts__are_expanded_and_absolute() -> None:
    step = run("ENV I=id\nRUN --mount=type=cache,target=c,id=$I --mount=type=secret,id=s --mount=target=/a,source=b x")
    assert [(mount.target, mount.id, mount.source) for mount in step.mounts] == [
        ("/srv/c", "id", ""),
        ("", "s", ""),
        ("/a", "", "b"),
    ]


@pytest.mark.parametrize(
    ("text", "words", "script"),
    [
        ("RUN <<EOF\na\nb\nEOF", ("/bin/sh", "-c", "a\nb\n"), None),
        ("RUN <<-EOF\n\ta\n\t\tb\n\tEOF", ("/bin/sh", "-c", "a\nb\n"), None),
        ("RUN <<'EOF'\n$a\nEOF", ("/bin/sh", "-c", "$a\n"), None),
        ("RUN cat <<A - <<B\na\nA\nb\nB", ("/bin/sh", "-c", "cat <<A - <<B\na\nA\nb\nB"), None),
        (
            "RUN <<EOF\n#!/usr/bin/env python3\nprint(1)\nEOF",
            ("/bin/sh", "-c", "/dev/pipes/EOF"),
            evaluate.Script("/dev/pipes/EOF", "#!/usr/bin/env python3\nprint(1)\n"),
        ),
    ],
)
def test_follow__here_documents_of_run__are_what_a_shell_is_given(
    text: str, words: tuple[str, ...], script: evaluate.Script | None
) -> None:
    step = run(text)
    assert (step.words, step.script) == (words, script)


def test_follow__copy__is_expanded_and_its_target_absolute() -> None:
    step = copy("ENV A=x\nCOPY --from=s --chown=$A --exclude=$A.o --parents $A y t/")
    assert (step.stage, step.is_add, step.keeps_parents) == ("s", False, True)
    assert step.sources == instructions.Sources(("x", "y"), (), "/srv/t/", "x", excluded=("x.o",))
    assert [copy(f"COPY a {target}").sources.target for target in (".", "./", "/", "b", "/c/", "/c/.", "../d")] == [
        "/srv/",
        "/srv/",
        "/",
        "/srv/b",
        "/c/",
        "/c/",
        "/d",
    ]


def test_follow__add__knows_its_flags() -> None:
    step = copy("ENV D=sha256:0\nADD --checksum=$D --keep-git-dir --unpack=false https://x/y z")
    assert (step.is_add, step.checksum, step.keeps_git_dir, step.unpacks) == (True, "sha256:0", True, False)


def test_follow__here_documents_of_copy__are_expanded_unless_their_name_is_quoted() -> None:
    step = copy("ENV A=x\nCOPY <<p <<'q' <<-r /d/\n\"$A\" '$A' \\$A\np\n$A\nq\n\t${A}y\n\tr")
    assert [document.content for document in step.sources.documents] == ["\"x\" 'x' $A\n", "$A\n", "xy\n"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("EXPOSE abc", "abc is no port"),
        ("EXPOSE 80/quic", "80/quic has no protocol that there is"),
        ("EXPOSE 70000", "70000 is no range of ports"),
        ("EXPOSE 20-10", "20-10 is no range of ports"),
        ("STOPSIGNAL SIGNOTHING", "SIGNOTHING is no signal"),
        ("STOPSIGNAL $NOTHING", "$NOTHING is no signal"),
        ("ENV A=${B:?missing}", "B: missing"),
        ("ENV A=${B", "there is no } that closes ${"),
        ("VOLUME $NOTHING", "a volume's path is empty"),
        ("ENV T=/\nRUN --mount=target=$T x", "a bind mount cannot be at the root"),
        ("ENV A=" + "${b:-" * 100 + "}" * 100, "substitutions are nested deeper than 64"),
    ],
)
def test_follow__what_cannot_be__is_told_at_the_instruction(text: str, message: str) -> None:
    with pytest.raises(mistake.Mistake) as error:
        walk(text)
    assert (error.value.message, error.value.position) == (message, (2 + text.count("\n"), 1))


def test_follow__unknown_base__what_must_be_set_is_taken_to_be() -> None:
    frame, _ = walk("ENV A=${B:?x}\nVOLUME $C\nSTOPSIGNAL $D", options=evaluate.Options(is_base_complete=False))
    assert dict(frame.configuration.env)["A"] == ""


def test_begin__base_without_a_path__has_dockers() -> None:
    frame = evaluate.begin(configuration.Configuration(working_dir="a", on_build=("RUN x",)))
    assert frame.configuration.env == (("PATH", evaluate.DEFAULT_PATH),)
    assert (frame.configuration.working_dir, frame.configuration.on_build) == ("/a", ())
    assert evaluate.begin(BASE).configuration == BASE


def test_configuration__document__is_what_docker_reads() -> None:
    text = (
        "ENV A=1\nENTRYPOINT []\nCMD []\nEXPOSE 80\nVOLUME /v\nLABEL l=m\nSTOPSIGNAL TERM\nUSER u\nWORKDIR /w\n"
        'SHELL ["s"]\nHEALTHCHECK --interval=90s CMD c\nONBUILD RUN o'
    )
    frame, _ = walk(text, configuration.Configuration(env=(("PATH", "/bin"),)))
    document = frame.configuration.document()
    assert document == {
        "User": "u",
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["PATH=/bin", "A=1"],
        "Healthcheck": {"Test": ["CMD-SHELL", "c"], "Interval": 90 * 10**9},
        "ArgsEscaped": True,
        "Volumes": {"/v": {}},
        "WorkingDir": "/w",
        "OnBuild": ["RUN o"],
        "Labels": {"l": "m"},
        "StopSignal": "TERM",
        "Shell": ["s"],
    }
    read = configuration.of_document({**document, "Cmd": ["x"]})
    assert read == dataclasses.replace(frame.configuration, cmd=("x",))
    assert configuration.of_document({"Env": None, "Labels": [], "Healthcheck": {}}) == configuration.Configuration()


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5µs"),
        (500 * 10**6, "500ms"),
        (10**9, "1s"),
        (90 * 10**9, "1m30s"),
        (3600 * 10**9, "1h0m0s"),
        (1_500_000_000, "1.5s"),
    ],
)
def test_printed__times__are_as_go_prints_them(nanoseconds: int, text: str) -> None:
    assert f' "{text}" ' in configuration.Healthcheck(("CMD", "a"), timeout=nanoseconds).printed()

"""Where settings come from, and what is refused."""

import pathlib

import pytest

from agent import settings


@pytest.fixture
def config(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "config.yaml"


def _load(
    config: pathlib.Path, text: str = "", *, environment: dict[str, str] | None = None, **flags: str
) -> settings.Settings:
    config.write_text(text)
    return settings.load({"config": str(config)} | flags, environment or {})


def test_load__nothing_set__gives_the_defaults(config: pathlib.Path) -> None:
    loaded = _load(config)
    assert loaded == settings.Settings()
    assert (str(loaded.root), str(loaded.run), loaded.runtime, str(loaded.listen)) == (
        "/var/lib/trimtab",
        "/run/trimtab",
        "native",
        "127.0.0.1:9469",
    )


def test_load__set_everywhere__flags_win_over_variables_over_the_file(config: pathlib.Path) -> None:
    text = "root: /file\nrunDir: /file-run\nruntime: memory\nlog: {format: json, level: debug}\n"
    environment = {"TRIMTAB_RUN_DIR": "/variable-run", "TRIMTAB_LOG_FORMAT": "console", "HOME": "/root"}
    loaded = _load(config, text, environment=environment, run_dir="/flag-run")
    assert (str(loaded.root), str(loaded.run), loaded.runtime) == ("/file", "/flag-run", "memory")
    assert loaded.log == settings.LogSettings(format="console", level="debug")


def test_load__the_file_named_by_a_variable__is_read(config: pathlib.Path) -> None:
    config.write_text("root: /elsewhere")
    assert str(settings.load({}, {"TRIMTAB_CONFIG": str(config)}).root) == "/elsewhere"


def test_load__a_named_file_that_is_missing__is_refused() -> None:
    with pytest.raises(settings.BadSettings, match=r"/nowhere/config\.yaml does not exist"):
        settings.load({"config": "/nowhere/config.yaml"}, {})


def test_load__durations_counts_and_addresses__become_values(config: pathlib.Path) -> None:
    text = "source: {quiet: 50ms, settle: 1s, rescan: 1m30s}\nconverge: {parallel: 4, relist: 2h}\nlisten: '[::1]:80'"
    loaded = _load(config, text)
    assert loaded.source == settings.SourceSettings(0.05, 1.0, 90.0)
    assert loaded.converge == settings.ConvergeSettings(4, 7200.0)
    assert (loaded.listen, str(loaded.listen)) == (settings.Listen("::1", 80), "[::1]:80")


def test_load__registries_rules_and_limits__become_values(config: pathlib.Path, tmp_path: pathlib.Path) -> None:
    key = tmp_path / "cosign.pub"
    key.write_text("")
    text = f"""
registries:
  default: registry.example:5000
  hosts:
    - {{registry: docker.io, mirrors: ["https://m.example/hub", "http://127.0.0.1:5000"]}}
    - {{registry: "*.lab", plainHttp: true}}
    - {{registry: r.example, ca: {key}, certificate: {key}, key: {key}}}
verify:
  - {{match: r.example/team/*, keys: [{key}]}}
layers: {{entries: 1000, unpacked: 1Gi, ratio: 200}}
garbage: {{high: 70%, low: 60, minimumAge: 1h}}
"""
    loaded = _load(config, text)
    assert loaded.registries == settings.RegistrySettings(
        "registry.example:5000",
        (
            settings.RegistryHost("docker.io", ("https://m.example/hub", "http://127.0.0.1:5000")),
            settings.RegistryHost("*.lab", plain_http=True),
            settings.RegistryHost("r.example", ca=key, certificate=key, key=key),
        ),
    )
    assert loaded.verify == settings.VerifySettings((settings.VerifyRule("r.example/team/*", (key,)),))
    assert loaded.layers == settings.LayerSettings(1000, 2**30, 200)
    assert loaded.garbage == settings.GarbageSettings(70, 60, 3600.0)


def test_load__verify__is_a_group_whose_rules_may_stand_alone(config: pathlib.Path, tmp_path: pathlib.Path) -> None:
    key = tmp_path / "cosign.pub"
    key.write_text("")
    rules = (settings.VerifyRule("a", (key,)),)
    text = f"[{{match: a, keys: [{key}]}}]"
    assert _load(config, f"verify: {text}").verify == settings.VerifySettings(rules, "accept")
    grouped = f"verify: {{default: refuse, rules: {text}}}"
    assert _load(config, grouped).verify == settings.VerifySettings(rules, "refuse")
    json = f'[{{"match": "a", "keys": ["{key}"]}}]'
    assert _load(config, environment={"TRIMTAB_VERIFY": json}).verify.rules == rules
    assert _load(config, environment={"TRIMTAB_VERIFY_DEFAULT": "refuse"}).verify.default == "refuse"
    with pytest.raises(settings.BadSettings, match=r"TRIMTAB_VERIFY: verify\.rules is set as well \(in .*config"):
        _load(config, grouped, environment={"TRIMTAB_VERIFY": json})
    with pytest.raises(settings.BadSettings, match="the runtime docker would not heed it"):
        _load(config, "verify: {default: refuse}", runtime="docker")


def test_load__lists_in_variables__are_json(config: pathlib.Path) -> None:
    environment = {"TRIMTAB_REGISTRIES_HOSTS": '[{"registry": "a", "plainHttp": true}]'}
    loaded = _load(config, environment=environment)
    assert loaded.registries.hosts == (settings.RegistryHost("a", plain_http=True),)
    with pytest.raises(settings.BadSettings, match=r"TRIMTAB_VERIFY: '\{' will not do: write a list"):
        _load(config, environment={"TRIMTAB_VERIFY": "{"})


def test_load__default_registry__is_heeded_by_every_runtime(config: pathlib.Path) -> None:
    assert _load(config, "runtime: podman\nregistries: {default: quay.io}").registries.default == "quay.io"


def test_load__listen_off__is_nowhere(config: pathlib.Path) -> None:
    assert _load(config, listen="off").listen is None


def test_run__another_root__gets_a_run_directory_of_its_own(config: pathlib.Path) -> None:
    first, other = _load(config, root="/srv/one"), _load(config, root="/srv/other")
    assert first.run != other.run
    assert str(first.run).startswith("/run/trimtab-")


def test_load__relative_paths__start_at_the_working_directory(
    config: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _load(config, root="state").root == tmp_path / "state"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log:\n  levle: info", r"config\.yaml:2:10: there is no setting 'log\.levle' \(did you mean log\.level\?\)"),
        ("zzz: 1", r"there is no setting 'zzz' \(known are admission\.binds, "),
        ("root: /a\nroot: /b", r"config\.yaml:2:7: 'root' is set twice \(first in .*:1:7"),
        ("- root", r"config\.yaml:1:1: settings are 'name: value' pairs"),
        ("root: [a]", r"config\.yaml:1:7: root: it is one value, not a list"),
        ("root: &a [*a]", r"config\.yaml: it is nested too deeply, or in itself"),
        ("verify: x", r"config\.yaml:1:9: verify: 'x' will not do: write a list, in a variable as JSON"),
        ("verify: [x]", r"verify: .* will not do: \[0\] must be 'name: value' pairs"),
        ("verify: [{match: a}]", r"verify: .* will not do: \[0\] needs 'keys'"),
        ("verify: [{match: a, keys: []}]", r"will not do: \[0\]: a rule needs a key at least"),
        ("verify: [{match: a, keys: [{}]}]", r"will not do: \[0\]\.keys: \[0\] must be a text"),
        ("verify: [{match: a, keys: [/no/key]}]", r"will not do: \[0\]\.keys: \[0\]: there is no file /no/key"),
        ("verify: [{match: a, match: b}]", r"config\.yaml:1:21: 'match' is set twice"),
        ("registries: {default: 'a b'}", "will not do: write the name of a registry"),
        ("registries: {hosts: [{registry: a, mirorrs: []}]}", r"\[0\] has no 'mirorrs' \(did you mean mirrors\?\)"),
        ("registries: {hosts: [{registry: a, mirrors: [x]}]}", r"\[0\]\.mirrors: \[0\]: write https://HOST"),
        ("registries: {hosts: [{registry: a, plainHttp: 1}]}", r"\[0\]\.plainHttp: choose true or false"),
        ("registries: {hosts: [{registry: a, key: /etc/hosts}]}", r"\[0\]: a client certificate needs its key"),
        ("registries: {hosts: [{registry: a, plainHttp: true, ca: /etc/hosts}]}", "plain HTTP knows no certificates"),
        ("registries: {hosts: [{registry: ''}]}", r"\[0\]\.registry: it is empty"),
        ("layers: {unpacked: much}", "write a quantity of bytes like 64Mi"),
        ("layers: {unpacked: 0}", "more than nothing"),
        ("garbage: {high: 101}", "whole number from 1 to 100"),
        ("garbage: {low: some}", "whole number from 1 to 100"),
        ("garbage: {low: 0}", "whole number from 1 to 100"),
        ("garbage: {low: 85}", "low must be below high"),
        ("runtime: podman\ngarbage: {low: 5}", r"garbage\.low: the runtime podman would not heed it"),
        (
            "runtime: docker\nlayers: {ratio: 5}",
            r"config\.yaml:2:17: layers\.ratio: the runtime docker would not heed it",
        ),
        ("root: [a", r"config\.yaml:1:9: this is not YAML"),
        ("root: ''", r"root: '' will not do: it is empty"),
        ("log: {level: loud}", r"config\.yaml:1:14: log\.level: 'loud' will not do: choose debug or info"),
        ("listen: 9469", "write HOST:PORT"),
        ("listen: 127.0.0.1:99999", "write HOST:PORT"),
        ("source: {quiet: 30}", "write a duration"),
        ("source: {quiet: 0s}", "longer than nothing"),
        ("converge: {parallel: 0}", "whole number from 1 on"),
        ("converge: {parallel: many}", "whole number from 1 on"),
        ("runtime: other", "choose native or docker or podman or memory"),
        ("a: \0", "this is not YAML"),
    ],
)
def test_load__a_bad_file__is_refused_with_its_place(config: pathlib.Path, text: str, message: str) -> None:
    with pytest.raises(settings.BadSettings, match=message):
        _load(config, text)


def test_load__bytes_that_are_no_text__are_refused(config: pathlib.Path) -> None:
    config.write_bytes(b"root: \xff\xfe\n")
    with pytest.raises(settings.BadSettings, match="this is not YAML"):
        settings.load({"config": str(config)}, {})


def test_load__a_huge_file__is_refused(config: pathlib.Path) -> None:
    with pytest.raises(settings.BadSettings, match="is too large"):
        _load(config, "#" * (1024 * 1024 + 1))


def test_load__a_directory_as_file__is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(settings.BadSettings, match="cannot be read"):
        settings.load({"config": str(tmp_path)}, {})


def test_load__an_unknown_variable__is_refused_with_the_likely_one(config: pathlib.Path) -> None:
    with pytest.raises(settings.BadSettings, match=r"TRIMTAB_ROTO is not .* \(did you mean TRIMTAB_ROOT\?\)"):
        _load(config, environment={"TRIMTAB_ROTO": "/x"})


def test_load__variables_that_are_read_elsewhere__are_no_settings(config: pathlib.Path) -> None:
    environment = {"TRIMTAB_FAILPOINTS": "x=kill", "TRIMTAB_SOURCE": "/etc/trimtab/manifests"}
    assert _load(config, environment=environment) == settings.Settings()


def test_load__a_bad_flag__is_named(config: pathlib.Path) -> None:
    with pytest.raises(settings.BadSettings, match=r"^--listen: 'x' will not do"):
        _load(config, listen="x")


def test_names__every_setting__is_listed_once() -> None:
    assert len(set(settings.names())) == len(settings.names())
    assert {"root", "run_dir", "source.quiet", "log.level"} <= set(settings.names())


@pytest.mark.parametrize(("text", "pids"), [("100", 100), ("unlimited", None)])
def test_load__processes_of_containers__are_a_number_or_unlimited(text: str, pids: int | None) -> None:
    assert settings.load({}, {"TRIMTAB_CONTAINERS_PIDS": text}).containers.pids == pids
    assert settings.load({}, {}).containers.pids == 4096
    with pytest.raises(settings.BadSettings):
        settings.load({}, {"TRIMTAB_CONTAINERS_PIDS": "0"})


def test_load__processes_of_containers__are_nothing_that_a_simulation_heeds() -> None:
    with pytest.raises(settings.BadSettings, match="the runtime memory would not heed it"):
        settings.load({"runtime": "memory"}, {"TRIMTAB_CONTAINERS_PIDS": "100"})
    assert settings.load({"runtime": "podman"}, {"TRIMTAB_CONTAINERS_PIDS": "100"}).containers.pids == 100

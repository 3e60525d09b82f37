"""The admission policy of a SOURCE, from the settings."""

import dataclasses
import fnmatch
import pathlib

from agent import settings
from agent.manifests import admission
from agent.sources import git_location


def policy_for(chosen: settings.Settings, source: str) -> admission.Policy:
    """Return the policy of the first entry of ``admission.sources`` that a SOURCE matches, or else the usual one."""
    shown = str(git_location.parse(source)) if source.startswith(git_location.PREFIX) else source
    names = {shown, shown if source.startswith(git_location.PREFIX) else str(pathlib.Path(source).absolute())}
    rules: settings.AdmissionExceptions = chosen.admission
    origin = "admission"
    for rule in chosen.admission.sources:
        if any(fnmatch.fnmatchcase(name, rule.match) for name in names):
            rules, origin = rule, f"the entry of admission.sources that matches {rule.match}"
            break
    return dataclasses.replace(of_rules(rules), own=_own(chosen, source), origin=origin)


def of_rules(rules: settings.AdmissionExceptions) -> admission.Policy:
    """Return the policy of settings, without a source."""
    return admission.Policy(
        level=admission.Level(rules.level),
        binds=rules.binds,
        capabilities=rules.capabilities,
        host_network=rules.host_network,
        seccomp_unconfined=rules.seccomp_unconfined,
        privilege_escalation=rules.privilege_escalation,
        root_user=rules.root_user,
        registries=rules.registries,
        ports=rules.ports,
    )


def summary(chosen: settings.Settings) -> str:
    """Return a line that says which level holds for which sources, with which exceptions."""
    parts = [_described(rule, f"sources like {rule.match}: ") for rule in chosen.admission.sources]
    return "; ".join([*parts, _described(chosen.admission, "all others: " if parts else "")])


def _described(rules: settings.AdmissionExceptions, whose: str) -> str:
    usual = settings.AdmissionExceptions()
    names = [field.name for field in dataclasses.fields(usual) if field.name != "level"]
    changed = [name for name in names if getattr(rules, name) != getattr(usual, name)]
    beside = f", with {', '.join(settings.spelled(name) for name in changed)}" if changed else ""
    return f"{whose}{rules.level}{beside}"


def _own(chosen: settings.Settings, source: str) -> tuple[str, ...]:
    """Return the absolute paths of a SOURCE on this host."""
    if source.startswith(git_location.PREFIX):
        return (str(chosen.root / "sources" / git_location.parse(source).slug),)
    path = pathlib.Path(source).absolute()
    return (str(path.parent if path.is_file() else path),)

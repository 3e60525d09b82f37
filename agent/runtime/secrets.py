"""The values that references to Secrets stand for now. Every driver has one, and asks it where a value is used."""

from agent import errors
from agent.model import secret
from agent.model.key import Pairs
from agent.reasons import Reason


class SecretStore:
    """Values in memory, and nowhere else. It prints as nothing."""

    def __init__(self) -> None:
        """Know no value."""
        self._values: dict[tuple[str, str], secret.SecretValue] = {}

    def __repr__(self) -> str:
        return "SecretStore()"

    def use(self, values: tuple[secret.SecretValue, ...]) -> None:
        """Know these values from now on, and no others that were given before."""
        self._values = {value.reference: value for value in values}

    def resolve(self, variables: tuple[secret.SecretVariable, ...]) -> Pairs:
        """Return (variable, value) of each. Raises ``errors.Unavailable`` where one is unknown or another by now."""
        return tuple((variable.name, self._value(variable)) for variable in variables)

    def _value(self, variable: secret.SecretVariable) -> str:
        value = self._values.get(variable.reference)
        if value is None:
            raise errors.Unavailable(
                f"the value of {variable.name}, {variable}, is not known",
                hint="it is read with the source, and never written down: see trimtab status",
                reason=Reason.SECRET_UNAVAILABLE,
            )
        if value.fingerprint != variable.fingerprint:
            raise errors.Unavailable(
                f"the value of {variable.name}, {variable}, has changed since this was made",
                hint="the container is replaced by the next pass",
                reason=Reason.SECRET_UNAVAILABLE,
            )
        return value.value.decode()

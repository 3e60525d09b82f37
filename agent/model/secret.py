"""What a Secret says that is used: logins at registries. Nothing of it is ever an object of the runtime."""

import dataclasses

HIDDEN = "(hidden)"


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Login:
    """A login that pulls show. Its text never shows it."""

    place: str
    """A registry, or a part of one: ``registry.example/team``."""
    secret: str
    """The name of the Secret that says it."""
    user: str = dataclasses.field(default="", repr=False)
    password: str = dataclasses.field(default="", repr=False)
    identity_token: str = dataclasses.field(default="", repr=False)

    def hidden(self) -> "Login":
        """Give what may be shown of it."""
        return dataclasses.replace(
            self,
            user=self.user and HIDDEN,
            password=self.password and HIDDEN,
            identity_token=self.identity_token and HIDDEN,
        )

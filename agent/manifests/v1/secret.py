"""Kind Secret. Its values appear nowhere: neither in a problem, nor in the text of a model."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from agent.manifests.v1 import base, encoded, forms
from agent.manifests.v1.base import Model
from agent.oci import auths

LOGINS = "kubernetes.io/dockerconfigjson"
OPAQUE = "Opaque"
TYPES = (OPAQUE, LOGINS)
"""The types that are built."""
KEY = ".dockerconfigjson"
LARGEST = 1024 * 1024
"""Bytes of a Secret's values together, as in Kubernetes."""


class SecretMetadata(base.Named):
    """The secret's name and annotations."""

    labels: Annotated[object, base.NotBuilt("secrets cannot be labelled: leave it out")] = Field(
        default=None, description="Not built yet: refused."
    )


class Secret(Model):
    """Values that containers refer to, or logins to registries, used by every pull."""

    api_version: Literal["trimtab.dev/v1"] = Field(description="The API version of the manifest.")
    kind: Literal["Secret"] = Field(description="Secret.")
    metadata: SecretMetadata = Field(description="Name, annotations.")
    type: str = Field(
        default=OPAQUE,
        description=f"{OPAQUE}: values for env. {LOGINS}: logins, in {KEY}. Others are refused.",
    )
    data: dict[forms.SecretKey, str] = Field(
        default_factory=dict, repr=False, description="Values by their keys, in base64, as kubectl writes them."
    )
    string_data: dict[forms.SecretKey, str] = Field(
        default_factory=dict, repr=False, description="Values as they are; one wins over a value of data with its key."
    )

    @pydantic.field_validator("type")
    @classmethod
    def _built(cls, value: str) -> str:
        if value not in TYPES:
            raise forms.InvalidField(f"must be {' or '.join(TYPES)}: {value[:50]} is not built yet")
        return value

    @pydantic.model_validator(mode="after")
    def _readable(self) -> "Secret":
        self.auths()
        self.values()
        return self

    def values(self) -> dict[str, bytes]:
        """Return an Opaque Secret's values by their keys, none for another type.

        Raises ``forms.InvalidField``, whose message contains no value.
        """
        if self.type != OPAQUE:
            return {}
        decoded = {key: encoded.decoded(key, value) for key, value in self.data.items()}
        values = decoded | {key: value.encode() for key, value in self.string_data.items()}
        if not values:
            raise forms.InvalidField("has no values", at="stringData", hint="write stringData: {password: …}")
        if (size := sum(map(len, values.values()))) > LARGEST:
            message = f"has values of {size / 2**20:.1f} MiB, the limit is {LARGEST // 2**20} MiB"
            raise forms.InvalidField(message, at="stringData", hint="give large data as a file, by a mount")
        return values

    def auths(self) -> auths.Auths:
        """Return the logins, none for another type.

        Raises ``forms.InvalidField``, whose message contains no value.
        """
        if self.type != LOGINS:
            return auths.Auths({}, {}, "", ())
        field = "stringData" if self.string_data else "data"
        values = {**self.data, **self.string_data}
        if list(values) != [KEY]:
            raise forms.InvalidField(f"must have {KEY} and nothing else", at=field, hint="see trimtab explain secret")
        text: str | bytes = values[KEY]
        if not self.string_data:
            text = encoded.decoded(KEY, values[KEY])
        parsed = auths.parse(text)
        if parsed is None or not (parsed.entries or parsed.unreadable):
            raise forms.InvalidField(
                f"has a {KEY} without logins",
                at=field,
                hint='write {"auths": {REGISTRY: {"username": …, "password": …}}}',
            )
        if parsed.unreadable:
            raise forms.InvalidField(
                f"has no login for {parsed.unreadable[0][:100]}",
                at=field,
                hint="it needs username and password, or auth",
            )
        if parsed.keychains or parsed.keychain:
            raise forms.InvalidField("names programs that keep logins", at=field, hint="write the logins themselves")
        return parsed

"""Kind Secret. Its values are told nowhere: neither in a problem, nor in the text of a model."""

import base64
import binascii
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from agent.manifests.v1 import base, forms
from agent.manifests.v1.base import Model
from agent.oci import auths

LOGINS = "kubernetes.io/dockerconfigjson"
"""The one type that is built."""
KEY = ".dockerconfigjson"


class SecretMetadata(base.Named):
    """What the secret is called, and remarks."""

    labels: Annotated[object, base.NotBuilt("secrets cannot be labelled: leave it out")] = Field(
        default=None, description="Not built yet: refused."
    )


class Secret(Model):
    """Logins at registries, which every pull shows."""

    api_version: Literal["trimtab.dev/v1"] = Field(description="The version of the manifest's form.")
    kind: Literal["Secret"] = Field(description="Secret.")
    metadata: SecretMetadata = Field(description="Name, annotations.")
    type: str = Field(description=f"What it is. Only {LOGINS} is built: others are refused.")
    data: dict[str, str] = Field(
        default_factory=dict, repr=False, description=f"The value of {KEY}, in base64, as kubectl writes it."
    )
    string_data: dict[str, str] = Field(
        default_factory=dict,
        repr=False,
        description=f"The value of {KEY} as it is: what docker login writes, with auths by registry.",
    )

    @pydantic.field_validator("type")
    @classmethod
    def _built(cls, value: str) -> str:
        if value != LOGINS:
            raise forms.Wrong(f"must be {LOGINS}: {value[:50]} is not built yet")
        return value

    @pydantic.model_validator(mode="after")
    def _logins(self) -> "Secret":
        self.auths()
        return self

    def auths(self) -> auths.Auths:
        """Give the logins. Raises ``forms.Wrong``, which tells no value."""
        field = "stringData" if self.string_data else "data"
        values = {**self.data, **self.string_data}
        if list(values) != [KEY]:
            raise forms.Wrong(f"must have {KEY} and nothing else", at=field, hint="see trimtab explain secret")
        text: str | bytes = values[KEY]
        if not self.string_data:
            try:
                text = base64.b64decode(values[KEY], validate=True)
            except (binascii.Error, ValueError):
                raise forms.Wrong(f"has a {KEY} that is not base64", at=field, hint="write it to stringData") from None
        found = auths.parse(text)
        if found is None or not (found.entries or found.unreadable):
            raise forms.Wrong(
                f"has a {KEY} without logins",
                at=field,
                hint='write {"auths": {REGISTRY: {"username": …, "password": …}}}',
            )
        if found.unreadable:
            raise forms.Wrong(
                f"has no login for {found.unreadable[0][:100]}",
                at=field,
                hint="it needs username and password, or auth",
            )
        if found.keychains or found.keychain:
            raise forms.Wrong("names programs that keep logins", at=field, hint="write the logins themselves")
        return found

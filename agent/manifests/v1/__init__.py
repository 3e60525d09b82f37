"""What people write, as pydantic models of the API group ``trimtab.dev/v1``; unknown fields are refused."""

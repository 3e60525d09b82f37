"""The same instances and engines as the end-to-end tests have."""

from tests.e2e.conftest import engine_host, home, native, quickstart_image

__all__ = ["engine_host", "home", "native", "quickstart_image"]

"""The engine's containers: what one is (``spec``), its life (``lifecycle``), its logs and what it uses (``logs``,
``stats``)."""

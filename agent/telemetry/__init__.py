"""What the outside sees: logs, metrics, health endpoints. Floor 6."""

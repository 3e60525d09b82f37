"""Logs, metrics and health endpoints. Floor 6.

``log_sink`` and ``metrics_sink`` take ``converge.signals``; ``exporter`` reads the runtime's usage. Nothing is changed.
Values of environments, commands and secrets never get here: logs and labels consist of names, reasons and numbers.
"""

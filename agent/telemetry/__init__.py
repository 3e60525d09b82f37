"""What the outside sees: logs, metrics, health endpoints. Floor 6.

Listens to ``converge.signals`` and reads the runtime's usage; changes nothing. Values of environments, commands and
secrets never get here: logs and labels are made of names, reasons and numbers.
"""

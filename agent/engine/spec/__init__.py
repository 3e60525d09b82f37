"""The engine's nouns: what callers ask for, and what is handed from one room of the engine to the next.

The lowest floor of the engine: values without behaviour, known to every room and knowing none. What is kept in the
records as JSON has plain values only.
"""

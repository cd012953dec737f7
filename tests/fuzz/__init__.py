"""Answers that no API should give, by the hundred thousand; ``python -m tests.fuzz --help``."""

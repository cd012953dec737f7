"""The engines at work: real workers of each, on real brokers, that are restarted under load.

``python -m tests.engines`` goes through all trials, ``python -m tests.engines workers-4`` through
one.
"""

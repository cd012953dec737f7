"""Chaos: savers and workers are killed -9 at random instants; then all is compared, item by item.

``python -m tests.chaos --kills 1000 --database all`` is the long form, ``tests/test_chaos.py`` the
short one.
"""

"""A browser: the shop's admin is walked through and looked at in Chromium.

``python -m tests.browser`` walks, ``--axe`` judges every page's accessibility, ``--screenshots``
writes the documentation's images anew; see ``--help``. Needs ``pip install -e ".[example]"
playwright`` and a Chromium, such as Debian's.
"""

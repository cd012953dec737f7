#!/usr/bin/env python
"""Runs the shop's commands; ``demo`` is the one to begin with."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        import environ  # type: ignore[import-untyped]  # noqa: F401, PLC0415
        import rest_framework  # noqa: F401, PLC0415
        from django.core.management import execute_from_command_line  # noqa: PLC0415
    except ImportError as error:
        sys.exit(f'{error}. Install what the example needs: pip install -e ".[example]"')
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

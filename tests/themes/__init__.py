"""The admin's themes: the shop under each, and a walk through our pages under it.

``python -m tests.themes unfold`` (or ``jazzmin``) needs the theme and the example's packages;
``python -m tests.browser --settings tests.themes.unfold --look FOLDER`` paints what it looks like.
"""

"""The shop's settings, under a strict Content-Security-Policy where Django can state one."""

from __future__ import annotations

from config.settings import *  # noqa: F403
from config.settings import MIDDLEWARE, TEMPLATES

# After the session's: whoever reads from right to left is looked after, too.
MIDDLEWARE = [*MIDDLEWARE]
MIDDLEWARE.insert(2, "django.middleware.locale.LocaleMiddleware")

ROOT_URLCONF = "tests.browser.urls"

try:
    from django.utils.csp import CSP
except ImportError:  # before Django 6.0
    pass
else:
    MIDDLEWARE = [*MIDDLEWARE, "django.middleware.csp.ContentSecurityPolicyMiddleware"]
    TEMPLATES[0]["OPTIONS"]["context_processors"].append("django.template.context_processors.csp")
    SECURE_CSP = {
        "default-src": [CSP.SELF],
        "script-src": [CSP.SELF, CSP.NONCE],
        "style-src": [CSP.SELF, CSP.NONCE],
        "object-src": [CSP.NONE],
        "base-uri": [CSP.NONE],
        "form-action": [CSP.SELF],
        "frame-ancestors": [CSP.NONE],
    }

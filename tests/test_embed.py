"""Embedding: the token, the tags as a page has them, and a browser that loads one."""

from __future__ import annotations

import base64
import hmac
import importlib.util
import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from uuid import UUID

import django
import jwt
import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.http import HttpResponse
from django.template import RequestContext, Template
from django.test import RequestFactory
from django.test.testcases import LiveServerThread
from django.urls import path, set_script_prefix
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe

from embedworkflow_django import conf, embed

from .test_security import error_of, locals_of

SECRET = "sk_test_of_the_embedding_tests_that_nobody_sees"
PUBLIC = "pk_test_of_the_embedding_tests"
HOSTILE = """"'></script><script>alert(1)</script><!--\u2028\x00"""
CDN = "https://cdn.ewf.to"


@pytest.fixture(autouse=True)
def configured(settings):
    """Both keys, and an account that has a pair of its own."""
    settings.EMBEDWORKFLOW = {
        "SECRET_KEY": SECRET,
        "PUBLISHABLE_KEY": PUBLIC,
        "ACCOUNTS": {
            "eu": {"SECRET_KEY": f"{SECRET}_in_europe", "PUBLISHABLE_KEY": f"{PUBLIC}_in_europe"}
        },
    }


def read(token, secret=SECRET, **options):
    """Return the claims of a token as the other side reads them, or its refusal."""
    return jwt.decode(token, secret, algorithms=["HS256"], **options)


# The token


def test_a_token_says_whose_it_is_since_when_and_until_when():
    """It is signed with the secret key, by HS256, and holds for an hour."""
    before = int(time.time())
    token = embed.user_jwt("ada")
    after = int(time.time())

    claims = read(token)
    assert {"alg": "HS256", "typ": "JWT"} == jwt.get_unverified_header(token)
    assert before <= claims["iat"] <= after
    assert {"sub": "ada", "iat": claims["iat"], "exp": claims["iat"] + 3600} == claims
    with pytest.raises(jwt.InvalidSignatureError):
        read(token, SECRET.lower()[:-1])


def test_a_token_introduces_a_user_whom_the_api_does_not_know():
    """Only when asked; an address and a name go along, unless they are blank."""
    known = read(embed.user_jwt("ada", email="", name=None))
    unknown = read(embed.user_jwt("ada", discover=True, email="ada@example.com", name="Ada"))

    assert {"sub", "iat", "exp"} == known.keys()
    assert {"discover": True, "email": "ada@example.com", "name": "Ada"} == {
        claim: value for claim, value in unknown.items() if claim not in known
    }


@pytest.mark.parametrize(
    ("lifetime", "seconds"), [(timedelta(minutes=5), 300), (28_800, 28_800)], ids=str
)
def test_a_token_expires_after_its_lifetime(lifetime, seconds):
    """By a clock that is so much ahead; by one a minute behind that it does not yet."""
    token = embed.user_jwt("ada", lifetime=lifetime)

    ahead = partial(read, token, options={"verify_iat": False})
    claims = ahead(leeway=60 - seconds)
    assert seconds == claims["exp"] - claims["iat"]
    with pytest.raises(jwt.ExpiredSignatureError):
        ahead(leeway=-seconds - 1)


def test_a_fraction_of_a_second_counts_as_one():
    """No token has expired when it is made."""
    claims = read(embed.user_jwt("ada", lifetime=0.2), options={"verify_exp": False})

    assert 1 == claims["exp"] - claims["iat"]


@pytest.mark.parametrize("lifetime", [0, -1, timedelta(0), "3600", None], ids=repr)
def test_a_lifetime_that_leaves_no_time_is_refused(lifetime):
    """A page with such a token would be broken from the start."""
    with pytest.raises(ValueError, match=r"^lifetime should be a positive number of seconds or a"):
        embed.user_jwt("ada", lifetime=lifetime)


@pytest.mark.parametrize(
    ("user_key", "subject"),
    [
        ("ada", "ada"),
        (7, "7"),
        (UUID(int=7), str(UUID(int=7))),
        (mark_safe("a&b"), "a&b"),
        (SimpleLazyObject(lambda: "lazy"), "lazy"),
        ("żółw \udc80", "żółw \udc80"),
    ],
    ids=ascii,
)
def test_a_user_is_named_by_a_text_or_a_primary_key(user_key, subject):
    """A subject is a text, whatever it is made from."""
    claims = read(embed.user_jwt(user_key))

    assert (str, subject) == (type(claims["sub"]), claims["sub"])


@pytest.mark.parametrize(
    "user_key", [None, "", " \t", AnonymousUser(), AnonymousUser().pk, ["ada"], b"ada"], ids=repr
)
def test_nobody_is_refused(user_key):
    """Neither a blank, nor a visitor who is not logged in, becomes a user that all share."""
    with pytest.raises(ValueError, match=r"^user_key should name the user whom the page acts as"):
        embed.user_jwt(user_key)


def test_each_account_signs_with_its_own_key():
    """The page of an account has the pair of its keys."""
    (script,) = elements("{% embedworkflow_loader 'ada' account='eu' %}")

    assert "ada" == read(script["data-jwt"], f"{SECRET}_in_europe")["sub"]
    assert f"{PUBLIC}_in_europe" == script["data-publishable-key"]


def test_a_short_key_signs_as_it_is(settings):
    """Nobody chooses how long it is, so that no warning helps; the sandbox's is one."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": "sk_test_sandbox"}
    signed, _, signature = embed.user_jwt("ada").rpartition(".")

    expected = hmac.digest(b"sk_test_sandbox", signed.encode(), "sha256")
    assert expected == base64.urlsafe_b64decode(f"{signature}=")


# What is missing


def refusals():
    """Return what a page and a token say instead, without the secret key in our frames."""
    errors = list(filter(None, map(error_of, (embed.publishable_key, partial(embed.user_jwt, 7)))))
    assert [] == [error for error in errors if SECRET in f"{error!r}{locals_of(error)}"]
    return [str(error) for error in errors]


def test_without_a_secret_key_nothing_is_embedded(settings):
    """The error is the one that every other call gives."""
    settings.EMBEDWORKFLOW = {"PUBLISHABLE_KEY": PUBLIC}

    assert [str(conf.missing_key("default"))] * 2 == refusals()


@pytest.mark.parametrize("written", ["", SECRET, f" {SECRET}"], ids=["none", "secret", "blank"])
def test_a_page_shows_a_publishable_key_and_no_other(settings, written):
    """Keys that were swapped do not become public."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": SECRET, "PUBLISHABLE_KEY": written}

    (refusal,) = refusals()
    assert refusal.startswith('EMBEDWORKFLOW["PUBLISHABLE_KEY"] is not set to a publishable key')
    with pytest.raises(conf.ConfigurationError, match="PUBLISHABLE_KEY") as caught:
        page("{% embedworkflow_loader 'ada' %}")
    assert SECRET not in locals_of(caught.value)


@pytest.mark.parametrize("own", ["SECRET_KEY", "PUBLISHABLE_KEY"])
def test_the_two_keys_are_of_one_pair(settings, own):
    """An account with one key of its own does not go with the other of the whole project."""
    keys = {"SECRET_KEY": SECRET, "PUBLISHABLE_KEY": PUBLIC}
    settings.EMBEDWORKFLOW = {**keys, "ACCOUNTS": {"us": {}, "eu": {own: keys[own]}}}

    assert PUBLIC == embed.publishable_key("us")
    missing = {
        "SECRET_KEY": r'EMBEDWORKFLOW\["ACCOUNTS"\]\["eu"\]\["PUBLISHABLE_KEY"\] is not set',
        "PUBLISHABLE_KEY": r'EMBEDWORKFLOW\["PUBLISHABLE_KEY"\] is not set',
    }
    with pytest.raises(conf.ConfigurationError, match=f"^{missing[own]}"):
        embed.publishable_key("eu")


def test_an_account_that_does_not_exist_is_named():
    """The error says which one is near."""
    for make in (embed.publishable_key, lambda account: embed.user_jwt("ada", account=account)):
        with pytest.raises(conf.ConfigurationError, match="no account 'ue' in EMBEDWORKFLOW"):
            make("ue")


PEM = f"-----BEGIN PUBLIC KEY-----\n{SECRET}\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize("key", [PEM, f"{SECRET}\udc80"], ids=["PEM", "half a character"])
def test_a_secret_key_that_cannot_sign_is_named_and_not_shown(settings, key):
    """Neither the sentence nor any frame has it, PyJWT's own included."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": key}
    with pytest.raises(conf.ConfigurationError) as caught:
        embed.user_jwt("ada")

    assert str(caught.value).startswith('EMBEDWORKFLOW["SECRET_KEY"] cannot sign: ')
    assert SECRET not in f"{caught.value!r}{locals_of(caught.value)}"
    assert caught.value.__context__ is None


def test_without_pyjwt_the_error_names_the_extra(python):
    """All else works where it is not installed, the tags that need no token included."""
    code = f"""
import sys
sys.modules["jwt"] = None
from django.conf import settings
settings.configure(
    EMBEDWORKFLOW={{"SECRET_KEY": "{SECRET}", "PUBLISHABLE_KEY": "{PUBLIC}"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "embedworkflow_django"],
    TEMPLATES=[{{"BACKEND": "django.template.backends.django.DjangoTemplates"}}],
    STATIC_URL="static/",
)
import django
django.setup()
from django.template import engines
from embedworkflow_django.conf import ConfigurationError
render = lambda text: engines["django"].from_string("{{% load embedworkflow %}}" + text).render()
print(render("{{% embedworkflow_connections %}}"))
try:
    render("{{% embedworkflow_loader 'ada' %}}")
except ConfigurationError as error:
    print(error)
"""

    assert [
        '<div class="EWF__connections"></div>',
        'Embedding needs PyJWT: pip install "embedworkflow-django[embed]".',
    ] == python(code).splitlines()


# The page


class Elements(HTMLParser):
    """Reads a page as a browser does: its elements, with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        """Keep one element."""
        self.found.append({"": tag, **dict(attrs)})

    def handle_data(self, data):
        """Take nothing for text but what is between the lines."""
        assert not data.strip(), data

    handle_comment = handle_decl = handle_pi = handle_data


def page(text, **names):
    """Return what a template makes of it, in answer to a request."""
    context = RequestContext(RequestFactory().get("/"), names)
    return Template(f"{{% load embedworkflow %}}{text}").render(context)


def elements(text, **names):
    """Return the elements of a page, each as a dict of its attributes."""
    return Elements(page(text, **names)).found


def test_the_loader_is_one_script_of_ours():
    """All that it has to know is in its attributes, and nothing stands inline."""
    (script,) = elements(
        "{% embedworkflow_loader ada.pk email=ada.email name=ada.get_full_name discover=True %}",
        ada=User(pk=7, email="ada@example.com", first_name="Ada", last_name="Lovelace"),
    )

    claims = read(script.pop("data-jwt"))
    expected = {"sub": "7", "discover": True, "email": "ada@example.com", "name": "Ada Lovelace"}
    assert expected == {claim: claims[claim] for claim in claims.keys() - {"iat", "exp"}}
    assert {
        "": "script",
        "src": "/static/embedworkflow_django/embed.js",
        "defer": None,
        "data-loader": f"{CDN}/ewf-loader.js",
        "data-publishable-key": PUBLIC,
    } == script


def test_a_lifetime_may_be_given_in_the_page():
    """As a number of seconds, which a template can write."""
    (script,) = elements("{% embedworkflow_loader 'ada' lifetime=28800 %}")

    claims = read(script["data-jwt"])
    assert 28_800 == claims["exp"] - claims["iat"]


@pytest.mark.parametrize("text", ["user.pk", "user.get_username", "user", "nobody.of_this_name"])
def test_a_page_for_nobody_is_an_error(text):
    """A visitor who is not logged in gets no token."""
    with pytest.raises(ValueError, match=r"^user_key should name"):
        page(f"{{% embedworkflow_loader {text} %}}")


ELEMENTS = {
    "{% embedworkflow_app '/users/7/workflows/' %}": {
        "class": "EWF__app",
        "data-base-path": "users/7/workflows",
        "data-embedworkflow-height": "80vh",
    },
    "{% embedworkflow_app base_path='workflows' height='calc(100vh - 4rem)' %}": {
        "class": "EWF__app",
        "data-base-path": "workflows",
        "data-embedworkflow-height": "calc(100vh - 4rem)",
    },
    "{% embedworkflow_settings_form workflow_key='welcome-email' %}": {
        "class": "EWF__settings-form",
        "data-workflow-key": "welcome-email",
    },
    "{% embedworkflow_settings_form workflow_id=7 %}": {
        "class": "EWF__settings-form",
        "data-workflow-id": "7",
    },
    "{% embedworkflow_connections %}": {"class": "EWF__connections"},
    "{% embedworkflow_field workflow_key='welcome-email' field_id='channel' value='#a' %}": {
        "class": "EWF__field",
        "data-workflow-key": "welcome-email",
        "data-field-id": "channel",
        "data-value": "#a",
    },
    "{% embedworkflow_field connection='slack' field='channel' connection_id='c1' %}": {
        "class": "EWF__field",
        "data-connection": "slack",
        "data-field": "channel",
        "data-connection-id": "c1",
    },
}


@pytest.mark.parametrize(("text", "expected"), ELEMENTS.items())
def test_each_element_has_the_documented_attributes(text, expected):
    """Those that were given, and no others."""
    assert [{"": "div", **expected}] == elements(text)


@pytest.mark.urls(__name__)
def test_the_path_may_be_that_of_a_view():
    """Also where the site stands below a prefix."""
    text = "{% url 'builder' as base %}{% embedworkflow_app base %}"
    assert ["workflows"] == [element["data-base-path"] for element in elements(text)]

    set_script_prefix("/shop/")
    try:
        assert ["shop/workflows"] == [element["data-base-path"] for element in elements(text)]
    finally:
        set_script_prefix("/")


@pytest.mark.parametrize("text", ["''", "'/'", "nothing"])
def test_a_path_that_is_missing_is_refused(text):
    """A name that is misspelt in a template is an empty text."""
    with pytest.raises(ValueError, match=r"^base_path should be a path below"):
        page(f"{{% embedworkflow_app {text} %}}")


@pytest.mark.parametrize("autoescape", ["on", "off"])
def test_no_text_leaves_its_attribute(settings, autoescape):
    """Whatever users, and settings, are called."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": SECRET, "PUBLISHABLE_KEY": f"pk_{HOSTILE}"}
    script, app, form, field = elements(
        f"{{% autoescape {autoescape} %}}"
        "{% embedworkflow_loader x email=x name=x %}{% embedworkflow_app x height=x %}"
        "{% embedworkflow_settings_form workflow_key=x %}{% embedworkflow_field value=x %}"
        "{% endautoescape %}",
        x=HOSTILE,
        csp_nonce=HOSTILE,
    )

    claims = read(script["data-jwt"])
    assert {HOSTILE} == {claims["sub"], claims["email"], claims["name"]}
    shown = {script["nonce"], app["data-base-path"], app["data-embedworkflow-height"]}
    assert {HOSTILE} == shown | {form["data-workflow-key"], field["data-value"]}
    assert f"pk_{HOSTILE}" == script["data-publishable-key"]
    assert ["script", "div", "div", "div"] == [each[""] for each in (script, app, form, field)]


# A browser


BODY = """<!doctype html><html><head><title>Builder</title>{% load embedworkflow %}
{% embedworkflow_loader "ada" name=name %}</head>
<body>{% embedworkflow_app "workflows" height="456px" %}</body></html>"""
# What the vendor's loader is known to do: it takes the stub away, comes to itself later, and then
# does what has been queued.
STAND_IN = """
const queue = window.EWF.queue;
window.EWF = undefined;
setTimeout(() => {
    window.EWF = {
        load(...call) {
            const app = document.querySelector(".EWF__app");
            app.textContent = JSON.stringify([...call, app.dataset.basePath, app.clientHeight]);
        },
    };
    queue.forEach((call) => window.EWF.load.apply(window.EWF, call));
});
"""
HOWTO = Path(__file__).parent.parent / "docs/howto.md"
(POLICY,) = re.findall(r"^```text\n(script-src .*)\n```$", HOWTO.read_text(), re.MULTILINE)


def builder(request, rest=""):
    """Show the builder; at its own address under the policy that the pages tell."""
    template = Template(BODY)
    answer = HttpResponse(template.render(RequestContext(request, {"name": HOSTILE})))
    if not rest:
        answer.headers["Content-Security-Policy"] = f"default-src 'none'; {POLICY}"
    return answer


urlpatterns = [
    path("workflows", builder, name="builder"),
    path("workflows/<path:rest>", builder),
]


@contextmanager
def website():
    """Answer on a port, without a database; give the address."""
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    server.daemon = True
    server.start()
    try:
        assert server.is_ready.wait(20)
        assert server.error is None
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.terminate()
        server.join(20)


@contextmanager
def opened(address):
    """Open a page in Chromium, with a stand-in for the vendor's script; give the page."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed")
    from .browser.__main__ import PROGRAMS
    from .browser.window import Complaints, chromium, window

    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None and not os.environ.get("CI"):
        pytest.skip("there is no Chromium")
    complaints = Complaints()
    with website() as site, chromium(program) as browser, window(browser, complaints) as shown:
        shown.route(
            f"{CDN}/**",
            lambda route: route.fulfill(body=STAND_IN, content_type="text/javascript"),
        )
        shown.goto(site + address)
        yield shown
        assert [] == complaints


def assert_the_builder_was_told(shown):
    """Look at what the stand-in has heard."""
    app = shown.locator(".EWF__app")
    shown.wait_for_function("document.querySelector('.EWF__app').textContent")
    key, options, base_path, height = json.loads(app.text_content())
    assert (PUBLIC, ["jwt"]) == (key, list(options))
    assert ("ada", HOSTILE) == (read(options["jwt"])["sub"], read(options["jwt"])["name"])
    assert ("workflows", 456) == (base_path, height)


@pytest.mark.urls(__name__)
def test_in_a_browser_the_queued_call_reaches_the_loader():
    """Under the policy that the pages tell, which names hosts and allows nothing inline."""
    with opened("/workflows") as shown:
        assert_the_builder_was_told(shown)


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has nonces since 6.0")
@pytest.mark.urls(__name__)
def test_in_a_browser_the_nonce_is_enough(settings):
    """The script has it, and hands it on to the loader."""
    settings.MIDDLEWARE = ["django.middleware.csp.ContentSecurityPolicyMiddleware"]
    (templates,) = settings.TEMPLATES
    processors = ["django.template.context_processors.csp"]
    settings.TEMPLATES = [{**templates, "OPTIONS": {"context_processors": processors}}]
    settings.SECURE_CSP = {"default-src": ["'none'"], "script-src": ["<CSP_NONCE_SENTINEL>"]}

    with opened("/workflows/deep/below") as shown:
        assert_the_builder_was_told(shown)

"""The public face: the modules, names and signatures that other people's code leans on."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest
from asgiref.sync import iscoroutinefunction

import embedworkflow_django
from embedworkflow_django import exceptions, services, signals, triggers

PACKAGE = "embedworkflow_django"

PUBLIC = {
    "triggers": {"Trigger", "registry", "suppressed", "trigger"},
    "services": {
        "acancel",
        "aexecute",
        "aexecute_many",
        "arefresh",
        "aresolve",
        "arun_again",
        "astop",
        "cancel",
        "execute",
        "execute_many",
        "refresh",
        "resolve",
        "run_again",
        "stop",
    },
    "signals": {
        "execution_dispatched",
        "execution_finished",
        "execution_queued",
        "execution_status_changed",
        "trigger_failed",
    },
    "models": {"Execution", "ExecutionEvent"},
    "client": {
        "DEFAULT_BASE_URL",
        "DEFAULT_IDEMPOTENCY_HEADER",
        "DEFAULT_MAX_ANSWER_SIZE",
        "DEFAULT_TIMEOUT",
        "UNSET",
        "Account",
        "Action",
        "ActionType",
        "AppConnection",
        "Client",
        "DataField",
        "InstalledApp",
        "Payload",
        "RemoteExecution",
        "Trigger",
        "Usage",
        "User",
        "UserToken",
        "Workflow",
    },
    "exceptions": {
        "APIError",
        "AnswerLost",
        "AuthenticationError",
        "BadRequest",
        "Conflict",
        "EmbedWorkflowError",
        "Gone",
        "InvalidAnswer",
        "InvalidExecution",
        "InvalidTransition",
        "NotFound",
        "NotSent",
        "PermissionDenied",
        "RateLimited",
        "RequestRejected",
        "RequestTimeout",
        "ServerError",
        "ServiceUnavailable",
        "TooEarly",
        "UnencodableData",
        "UnexpectedRedirect",
        "UnprocessableEntity",
    },
    "testing": {"captured", "deliver", "finish", "sandbox", "sync"},
}

TAGS = {
    "embedworkflow_app",
    "embedworkflow_connections",
    "embedworkflow_field",
    "embedworkflow_loader",
    "embedworkflow_settings_form",
}

SIGNATURES = {
    triggers.trigger: "(signal, *, sender, workflow, id_type='key', user_key=None, once=False,"
    " account='default', using=None)",
    triggers.suppressed: "()",
    services.execute: "(workflow, data=None, *, source=None, user_key=None, id_type='key',"
    " idempotency_key=None, account='default', run_at=None, using=None)",
    services.execute_many: "(calls)",
    services.run_again: "(execution, *, data=UNSET, by='')",
    services.cancel: "(execution, *, by='')",
    services.stop: "(execution, *, by='')",
    services.refresh: "(execution, *, by='')",
    services.resolve: "(execution, *, remote_id=None, resend=False, by='')",
}
VERBS = [function for function in SIGNATURES if function.__module__ == services.__name__]


def _signature(function) -> str:
    """Return names, kinds and defaults; hints are the type checker's."""
    bare = inspect.signature(function)
    return str(
        bare.replace(
            parameters=[p.replace(annotation=p.empty) for p in bare.parameters.values()],
            return_annotation=bare.empty,
        )
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_names_are_the_documented_ones(name):
    """``__all__`` lists what is documented, no more and no less, and all of it is there."""
    module = import_module(f"{PACKAGE}.{name}")

    assert PUBLIC[name] == set(module.__all__)
    assert [] == [public for public in module.__all__ if not hasattr(module, public)]


def test_the_template_tags_are_the_documented_ones():
    """Templates of other people's name them."""
    assert TAGS == set(import_module(f"{PACKAGE}.templatetags.embedworkflow").register.tags)


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__name__)
def test_a_signature_is_the_documented_one(function):
    """Names, order, kinds and defaults of the arguments are a promise."""
    assert SIGNATURES[function] == _signature(function)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_each_verb_has_an_async_twin_with_the_same_arguments(verb):
    """``aexecute`` takes what ``execute`` takes, and so on."""
    twin = getattr(services, f"a{verb.__name__}")

    assert iscoroutinefunction(twin)
    assert _signature(verb) == _signature(twin)


@pytest.mark.parametrize("name", sorted(PUBLIC["signals"]))
def test_each_signal_is_a_signal(name):
    """Receivers connect to it as to any signal of Django's."""
    assert callable(getattr(signals, name).connect)


def test_every_error_of_ours_is_one_embed_workflow_error():
    """``except EmbedWorkflowError`` catches all that the package raises on its own account."""
    errors = [getattr(exceptions, name) for name in exceptions.__all__]

    assert all(issubclass(error, exceptions.EmbedWorkflowError) for error in errors)


def test_the_package_imports_before_django_is_set_up(python):
    """``import embedworkflow_django`` needs no settings, and brings nothing of Django along."""
    code = f"import sys, {PACKAGE}; print([m for m in sys.modules if m.split('.')[0] == 'django'])"

    assert "[]\n" == python(code)


def test_the_root_offers_its_version_and_nothing_else():
    """What is public is imported from the public modules."""
    own = {
        name
        for name, value in vars(embedworkflow_django).items()
        if not name.startswith("__") and not inspect.ismodule(value) and name != "annotations"
    }

    assert set() == own
    assert embedworkflow_django.__version__

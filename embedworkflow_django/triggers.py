"""Triggers: a model's signal, a function of yours, and what it returns becomes an execution."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.apps import apps
from django.conf import settings
from django.db import Error, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError
from django.dispatch import Signal

from . import conf, intake, services, signals
from .exceptions import InvalidExecution, printable
from .models import source_id, source_type

__all__ = ["Trigger", "registry", "suppressed", "trigger"]

logger = logging.getLogger("embedworkflow_django")

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)
ByInstance = str | Callable[[Any], str | None]

_SWALLOWED = "The function caught a database error outside of an atomic() block of its own."
_ENDLESS = (
    "%s has set itself off %d times, one inside the other: its function does what it listens to. "
    "Write without save(), as by QuerySet.update(), or inside of suppressed()."
)
#: How often a trigger may set itself off, each time inside the one before; Python's own limit
#: would strike in the midst of what a database's driver says.
DEEPEST = 20
_firing: ContextVar[tuple[str, ...]] = ContextVar("embedworkflow_firing", default=())
_suppressed: ContextVar[bool] = ContextVar("embedworkflow_suppressed", default=False)


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A declared trigger.

    Args:
        name: The function's dotted name; kept with each execution.
        function: What turns an instance into data.
        signals: What it listens to.
        senders: Whose signals; ``None`` is everybody's.
        workflow: The workflow's identifier, or a callable of the instance.
        id_type: How the API reads it.
        user_key: The end user, or a callable of the instance.
        once: Whether there is one execution for a source, ever.
        account: The account's alias.
        using: The database's alias; the signal's by default.
        defined_at: File and line.
    """

    name: str
    function: Function = field(repr=False)
    signals: tuple[Signal, ...] = field(repr=False)
    senders: tuple[Any, ...]
    workflow: str | Callable[[Any], str]
    id_type: str
    user_key: ByInstance | None
    once: bool
    account: str
    using: str | None
    defined_at: str

    def receive(self, sender: Any, **arguments: Any) -> None:
        """Take a signal: ask the function, and execute what it returns."""
        if arguments.get("raw") is True or _suppressed.get():
            return
        if None in self.senders and _is_of_a_migration(sender):
            return
        instance = arguments.pop("instance", sender)
        around = _firing.get()
        firing = _firing.set((*around, self.name))
        try:
            if around.count(self.name) == DEEPEST:
                raise RecursionError(_ENDLESS % (self.name, DEEPEST))
            self._fire(instance, sender, arguments)
        except Exception as error:  # noqa: BLE001 - whatever a project's function may raise
            self._failed(instance, error)
        finally:
            _firing.reset(firing)

    def disconnect(self) -> None:
        """Hear nothing any more: for a trigger of an app that is not one's own, and for tests."""
        for signal in self.signals:
            for sender in self.senders:
                signal.disconnect(self.receive, sender=sender)
        if registry.get(self.name) is self:
            del registry[self.name]
        elif self in duplicates:
            duplicates.remove(self)

    def _fire(self, instance: Any, sender: Any, arguments: dict[str, Any]) -> None:
        with _undone_on_error():
            data = _plain(self.function(instance, sender=sender, **arguments))
            if data is None:
                return
            workflow = self.workflow(instance) if callable(self.workflow) else self.workflow
            user_key = self.user_key(instance) if callable(self.user_key) else self.user_key
        source = instance if isinstance(instance, models.Model) else None
        execution, alias = intake.new_execution(
            workflow,
            data,
            source=source,
            user_key=user_key,
            id_type=self.id_type,
            idempotency_key=self._once_key(source),
            account=self.account,
            using=self.using or arguments.get("using"),
            trigger=self.name,
        )
        services.store([execution], alias)

    def _once_key(self, source: models.Model | None) -> str | None:
        if not self.once:
            return None
        if source is None:
            raise InvalidExecution(
                f"Trigger {self.name} has once=True, which needs a model instance as its source."
            )
        return intake.once_key(self.name, source_type(source), source_id(source))

    def _failed(self, instance: Any, error: Exception) -> None:
        # Not the object's own text: it may say what a log must not, or need a query.
        about = instance.__name__ if isinstance(instance, type) else type(instance).__name__
        if isinstance(instance, models.Model):
            about = f"{about} {printable(str(instance.pk))}"
        logger.error(
            "Trigger %s failed for %s; nothing was queued.",
            self.name,
            about,
            exc_info=error,
            extra={"event_name": "trigger_failed", "trigger": self.name},
        )
        signals.trigger_failed.send_robust(
            self.function, trigger=self.name, instance=instance, exception=error
        )
        broken = isinstance(error, Error) and any(c.needs_rollback for c in _in_transaction())
        # Else each call around the innermost one would queue an execution.
        endless = isinstance(error, RecursionError)
        if broken or endless or _raises():
            note = f"The trigger {self.name} ({self.defined_at}) failed."
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
            raise error


#: Every declared trigger, by its name.
registry: dict[str, Trigger] = {}
#: Those whose name was taken; a system check reports them.
duplicates: list[Trigger] = []


def trigger(
    signal: Signal | Sequence[Signal],
    *,
    sender: Any,
    workflow: str | Callable[[Any], str],
    id_type: str = "key",
    user_key: ByInstance | None = None,
    once: bool = False,
    account: str = conf.DEFAULT_ACCOUNT,
    using: str | None = None,
) -> Callable[[F], F]:
    """Connect a function to a signal: the data that it returns is what a workflow is executed with.

    The function gets the instance and the signal's other arguments, and returns a dict, a
    serializer of Django REST framework, or ``None`` to let the moment pass. Fixtures fire nothing;
    but before Django 6.1 ``m2m_changed`` does not say that it comes of one.

    Args:
        signal: Any signal, or several.
        sender: The model whose signal it is, or its label, or several; ``None`` for everybody's.
        workflow: The workflow's identifier, or a callable of the instance.
        id_type: How the API reads it: ``key``, ``id`` or ``hashid``.
        user_key: The end user, or a callable of the instance.
        once: Whether there is one execution for a source, ever, as long as the function's
            dotted name stays.
        account: The account's alias in the settings.
        using: The database's alias; the signal's own by default.

    Raises:
        TypeError: What is decorated is no plain function of an instance and ``**kwargs``, the
            signal is none, or there is no sender.
    """
    heard = tuple(signal) if isinstance(signal, (list, tuple)) else (signal,)
    if not heard or not all(isinstance(each, Signal) for each in heard):
        raise TypeError(f"trigger() needs a signal, or a list of them, not {signal!r}.")
    senders = tuple(sender) if isinstance(sender, (list, tuple)) else (sender,)
    if not senders:
        raise TypeError(
            "trigger() needs a sender, or a list of them, not an empty one; None for everybody's."
        )

    def connect(function: F) -> F:
        _require_function(function)
        made = Trigger(
            name=f"{function.__module__}.{function.__qualname__}",
            function=function,
            signals=heard,
            senders=senders,
            workflow=workflow,
            id_type=id_type,
            user_key=user_key,
            once=once,
            account=account,
            using=using,
            defined_at=_where(function),
        )
        _register(made)
        for each in heard:
            for whose in senders:
                each.connect(made.receive, sender=whose, weak=False)
        return function

    return connect


class _Suppressed:
    """What `suppressed` returns: a context manager, and a decorator also of coroutine functions."""

    def __enter__(self) -> None:
        self._before = _suppressed.set(True)

    def __exit__(self, *error: object) -> None:
        _suppressed.reset(self._before)

    def __call__(self, function: F) -> F:
        later = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        if later or isinstance(function, type) or not callable(function):
            raise TypeError(
                f"suppressed() decorates a function whose body runs when it is called, not "
                f'{function!r}: write "with suppressed():" inside.'
            )

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with suppressed():
                return await function(*args, **kwargs)

        def called(*args: Any, **kwargs: Any) -> Any:
            with suppressed():
                return function(*args, **kwargs)

        muted = awaited if iscoroutinefunction(function) else called
        return cast("F", wraps(function)(muted))


def suppressed() -> _Suppressed:
    """Mute all triggers inside a ``with`` block, or a decorated function, as for an import."""
    return _Suppressed()


def _raises() -> bool:
    try:
        return conf.settings.trigger_errors == "raise"
    except conf.ConfigurationError:
        # A typo, which a system check names, is as good as nothing: it breaks no save.
        return settings.DEBUG


def _in_transaction() -> list[BaseDatabaseWrapper]:
    return [c for c in connections.all(initialized_only=True) if c.in_atomic_block]


@contextmanager
def _undone_on_error() -> Iterator[None]:
    """Undo what a failing function has done to the transactions around it.

    A savepoint is made with its first query, so that a function that makes none costs none.
    """
    with ExitStack() as stack:
        for connection in _in_transaction():
            stack.enter_context(_savepoint_on_demand(connection))
        yield


@contextmanager
def _savepoint_on_demand(connection: BaseDatabaseWrapper) -> Iterator[None]:
    hooks, broken = len(connection.run_on_commit), connection.needs_rollback
    savepoints: list[Any] = []

    def begin(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        if not savepoints:
            savepoints.append("")  # Its own SAVEPOINT comes by here, too.
            savepoints[0] = connection.savepoint()
        return execute(sql, params, many, context)

    # Not an atomic(): one that begins inside another one of the function's would end after it.
    try:
        with connection.execute_wrapper(begin):
            yield
        if connection.needs_rollback and not broken:
            raise TransactionManagementError(_SWALLOWED)
        if savepoints:
            # Fails, too, where a caught error has aborted PostgreSQL's transaction.
            connection.savepoint_commit(savepoints[0])
    except BaseException:
        del connection.run_on_commit[hooks:]
        # Django lets nothing pass to a connection that needs a rollback, not even a rollback.
        connection.needs_rollback = broken
        if savepoints:
            _roll_back(connection, savepoints[0])
        raise


def _roll_back(connection: BaseDatabaseWrapper, savepoint: Any) -> None:
    if not savepoint:
        # It could not be made.
        connection.needs_rollback = True
        return
    try:
        connection.savepoint_rollback(savepoint)
        connection.savepoint_commit(savepoint)
    except Error:
        connection.needs_rollback = True
        raise


def _is_of_a_migration(sender: Any) -> bool:
    """Return whether a sender is a model of another registry than the project's own."""
    is_model = isinstance(sender, type) and issubclass(sender, models.Model)
    return is_model and sender._meta.apps is not apps


def _plain(data: Any) -> Any:
    """Return the data of a serializer, and anything else as it is."""
    serializers = sys.modules.get("rest_framework.serializers")
    if serializers is not None and isinstance(data, serializers.BaseSerializer):
        return data.data
    return data


def _require_function(function: Any) -> None:
    if not (callable(function) and inspect.isfunction(inspect.unwrap(function))):
        raise TypeError(f"trigger() decorates a plain function, not {function!r}.")
    if iscoroutinefunction(inspect.unwrap(function)):
        raise TypeError(
            f"{function.__qualname__} is a coroutine function. A trigger runs inside the "
            "transaction of the signal's sender, so make it a plain function."
        )
    signature = _signature(function)
    if all(each.kind is not each.VAR_KEYWORD for each in signature.parameters.values()):
        raise TypeError(
            f"{function.__qualname__} does not take the signal's arguments, of which there may "
            "be more one day: end its own with **kwargs."
        )
    if not _takes_instance(signature):
        raise TypeError(
            f"{function.__qualname__} cannot be called as a trigger is, with the instance "
            "first and the signal's other arguments, such as created, by their names: write "
            f"def {function.__name__}(instance, **kwargs)."
        )


def _signature(function: Function) -> inspect.Signature:
    """Return how a function itself is called, whatever another decorator has wrapped in it."""
    # A static method has no signature of its own.
    return inspect.signature(getattr(function, "__func__", function), follow_wrapped=False)


def _takes_instance(signature: inspect.Signature) -> bool:
    """Return whether a function can be called with an instance first, and the rest by name."""
    try:
        taken = signature.bind_partial(None, sender=None).arguments
    except TypeError:
        return False
    left = signature.parameters.get("instance")
    return left is None or left.name in taken or left.default is not left.empty


def _register(made: Trigger) -> None:
    known = registry.get(made.name)
    if known is not None and _is_loaded_again(known, made):
        known.disconnect()
    if made.name in registry:
        duplicates.append(made)
    registry.setdefault(made.name, made)


def _is_loaded_again(known: Trigger, made: Trigger) -> bool:
    """Return whether two triggers are one, whose module was executed once more."""
    before, after = (inspect.unwrap(each.function).__code__ for each in (known, made))
    # Functions that a loop makes share their code, those of one line their place.
    same = known.defined_at == made.defined_at and known.senders == made.senders
    return same and before is not after


def _where(function: Function) -> str:
    code = inspect.unwrap(function).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"

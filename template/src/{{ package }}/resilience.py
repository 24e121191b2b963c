"""What to do when something the service depends on is slow, failing or away."""

import copy
import functools
import inspect
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, cast
from weakref import WeakSet

import interlock
from interlock import CircuitOpenError, Config, LoggingEventListener

from .measures import MEASURES, Measure

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


class UnavailableError(ConnectionError):
    """Something the service depends on is away for the moment; callers are told to come back."""


AWAY = (CircuitOpenError, ConnectionError, TimeoutError)
"""Errors that say: the other side is not there."""

__all__ = ["AWAY", "BREAKERS", "FALLBACKS", "CircuitBreaker", "CircuitOpenError", "UnavailableError", "with_fallback"]


class CircuitBreaker(interlock.CircuitBreaker):
    """Stops calling what keeps failing, and tries again later with a single call.

    After `failure_threshold` failures in a row calls raise CircuitOpenError at once. When
    `recovery_timeout` seconds have passed, one call is let through: if it succeeds the circuit
    closes, if it fails the wait starts again. Use `breaker.call(function, ...)` or decorate a
    function with the breaker; coroutine functions work the same way.
    """

    def __init__(self, name: str = "default", *, failure_threshold: int = 5, recovery_timeout: float = 30.0) -> None:
        super().__init__(
            name=name,
            config=Config(
                failure_rate_threshold=1.0,
                minimum_number_of_calls=failure_threshold,
                window_size=failure_threshold,
                wait_duration_in_open=recovery_timeout,
                permitted_calls_in_half_open=1,
            ),
            listener=_Listener(self),
        )
        self.rejected = 0
        self.opened = 0
        BREAKERS.add(self)

    @property
    def is_open(self) -> bool:
        """Whether calls are rejected at the moment."""
        return self.state in {interlock.State.OPEN, interlock.State.FORCED_OPEN}


class _Listener(LoggingEventListener):
    """Logs what happens to a breaker, and counts it for metrics."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        super().__init__(logger)
        self._breaker = breaker

    def on_state_change(self, *, name: str, old: interlock.State, new: interlock.State) -> None:
        super().on_state_change(name=name, old=old, new=new)
        self._breaker.opened += new is interlock.State.OPEN

    def on_rejected(self, *, name: str) -> None:  # noqa: ARG002 - the listener's signature
        # Not logged: while a circuit is open this happens on every call.
        self._breaker.rejected += 1


BREAKERS: WeakSet[CircuitBreaker] = WeakSet()
"""Every breaker there is; each counts how often it `opened` and how many calls it `rejected`."""

FALLBACKS: Counter[tuple[str, ...]] = Counter()
"""How often each function's fallback stood in."""


def _of_breakers(attribute: str) -> Callable[[], dict[tuple[str, ...], float]]:
    return lambda: {(breaker.name,): float(getattr(breaker, attribute)) for breaker in BREAKERS}


MEASURES += [
    Measure("circuit_breaker_open", "1 while calls are rejected", "gauge", ("name",), _of_breakers("is_open")),
    Measure("circuit_breaker_opened", "Times it opened", "counter", ("name",), _of_breakers("opened")),
    Measure("circuit_breaker_rejected", "Calls it rejected", "counter", ("name",), _of_breakers("rejected")),
    Measure("fallback_used", "Times a fallback stood in", "counter", ("function",), FALLBACKS.copy),
]


def with_fallback(
    fallback_value: R, *, on: tuple[type[Exception], ...] = AWAY
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Decorate a function to return `fallback_value` where it raises one of the errors in `on`.

    Works for functions and coroutine functions. Every other error is raised as it is. The value
    is copied each time, so that a caller may change what it gets. Each use is counted in
    FALLBACKS and logged with its cause.
    """

    def decorate(function: Callable[P, Any]) -> Callable[P, Any]:
        name = f"{function.__module__}.{function.__qualname__}"

        def fall_back(error: Exception) -> R:
            FALLBACKS[(name,)] += 1
            logger.warning("fallback for %s", name, exc_info=error)
            return copy.deepcopy(fallback_value)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                return function(*args, **kwargs)
            except on as error:
                return fall_back(error)

        @functools.wraps(function)
        async def call_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                return await cast(Callable[P, Awaitable[Any]], function)(*args, **kwargs)
            except on as error:
                return fall_back(error)

        return call_async if inspect.iscoroutinefunction(function) else call

    return decorate

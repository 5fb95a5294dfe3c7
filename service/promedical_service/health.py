"""Whether the service can answer: one owner of the state, pure transitions, and listeners that are told of changes.

This module does not know probes or transports. Liveness fails only for a lost engine: a service that starts or
drains must not be restarted.
"""

from collections.abc import Callable
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """The states of the service."""

    STARTING = "starting"
    """The ports are open; the model is not loaded yet."""
    READY = "ready"
    """Requests are answered."""
    RECOVERING = "recovering"
    """The engine died and is being restarted; callers are sent elsewhere in the meantime."""
    DRAINING = "draining"
    """The service was asked to stop; calls in progress are finished, new ones are refused."""
    LOST = "lost"
    """The engine died; only a restart helps."""


class Event(StrEnum):
    """What can happen to the service."""

    LOADED = "loaded"
    ENGINE_DOWN = "engine_down"
    ENGINE_LOST = "engine_lost"
    STOP = "stop"


_TRANSITIONS: Final = MappingProxyType(
    {
        (State.STARTING, Event.LOADED): State.READY,
        (State.STARTING, Event.ENGINE_LOST): State.LOST,
        (State.STARTING, Event.STOP): State.DRAINING,
        (State.READY, Event.ENGINE_DOWN): State.RECOVERING,
        (State.READY, Event.ENGINE_LOST): State.LOST,
        (State.READY, Event.STOP): State.DRAINING,
        (State.RECOVERING, Event.LOADED): State.READY,
        (State.RECOVERING, Event.ENGINE_LOST): State.LOST,
        (State.RECOVERING, Event.STOP): State.DRAINING,
        (State.LOST, Event.STOP): State.DRAINING,
    }
)

Listener = Callable[[State], None]


def after(state: State, event: Event) -> State:
    """The next state; an event without a meaning in a state leaves the state as it is."""
    return _TRANSITIONS.get((state, event), state)


class Health:
    """The state of this process. Listeners are called in the event loop, once per change, and must not block."""

    def __init__(self) -> None:
        self._state = State.STARTING
        self._listeners: list[Listener] = []

    @property
    def state(self) -> State:
        """The state of the service now."""
        return self._state

    @property
    def ready(self) -> bool:
        """Whether new requests are taken."""
        return self._state is State.READY

    @property
    def live(self) -> bool:
        """Whether the process is alive; if it is not, only a restart helps."""
        return self._state is not State.LOST

    def loaded(self) -> None:
        """Note that the model is loaded and warm, for the first time or again."""
        self._move(Event.LOADED)

    def engine_down(self) -> None:
        """Note that the engine died and is being restarted."""
        self._move(Event.ENGINE_DOWN)

    def engine_lost(self) -> None:
        """Note that the engine died and cannot be restarted."""
        self._move(Event.ENGINE_LOST)

    def stop(self) -> None:
        """Note that the process was asked to end."""
        self._move(Event.STOP)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` now and after every change; returns a function that ends this."""
        self._listeners.append(listener)
        listener(self._state)
        return lambda: self._listeners.remove(listener)

    def _move(self, event: Event) -> None:
        state = after(self._state, event)
        if state is self._state:
            return
        self._state = state
        for listener in tuple(self._listeners):
            listener(state)

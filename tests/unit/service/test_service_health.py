"""The states of the process."""

import pytest

from promedical_service.health import Event, Health, State, after


@pytest.mark.parametrize(
    ("state", "event", "expected"),
    [
        (State.STARTING, Event.LOADED, State.READY),
        (State.STARTING, Event.ENGINE_LOST, State.LOST),
        (State.STARTING, Event.STOP, State.DRAINING),
        (State.READY, Event.LOADED, State.READY),
        (State.READY, Event.ENGINE_LOST, State.LOST),
        (State.READY, Event.STOP, State.DRAINING),
        (State.READY, Event.ENGINE_DOWN, State.RECOVERING),
        (State.RECOVERING, Event.LOADED, State.READY),
        (State.RECOVERING, Event.ENGINE_DOWN, State.RECOVERING),
        (State.RECOVERING, Event.ENGINE_LOST, State.LOST),
        (State.RECOVERING, Event.STOP, State.DRAINING),
        (State.STARTING, Event.ENGINE_DOWN, State.STARTING),
        (State.DRAINING, Event.ENGINE_DOWN, State.DRAINING),
        (State.LOST, Event.ENGINE_DOWN, State.LOST),
        (State.LOST, Event.LOADED, State.LOST),
        (State.LOST, Event.ENGINE_LOST, State.LOST),
        (State.LOST, Event.STOP, State.DRAINING),
        (State.DRAINING, Event.LOADED, State.DRAINING),
        (State.DRAINING, Event.ENGINE_LOST, State.DRAINING),
        (State.DRAINING, Event.STOP, State.DRAINING),
    ],
)
def test_health_transitions(state, event, expected):
    assert after(state, event) is expected


def test_health_tells_listeners_now_and_once_per_change():
    health, heard, also = Health(), [], []
    unsubscribe = health.subscribe(heard.append)
    health.subscribe(also.append)
    health.loaded()
    health.loaded()
    unsubscribe()
    health.stop()
    assert heard == [State.STARTING, State.READY]
    assert also == [State.STARTING, State.READY, State.DRAINING]


def test_health_a_service_that_starts_or_drains_is_alive_but_not_ready():
    health = Health()
    assert (health.ready, health.live) == (False, True)
    health.loaded()
    assert (health.ready, health.live) == (True, True)
    health.stop()
    assert (health.ready, health.live) == (False, True)


def test_health_a_lost_engine_is_neither():
    health = Health()
    health.engine_lost()
    assert (health.ready, health.live) == (False, False)

"""What dies is started again: at once the first time, later and later in a row."""

from __future__ import annotations

import pytest

from local import supervise
from local.errors import LocalError
from local.supervise import LIVED_SECONDS, RESTART_SECONDS, Supervised


class Mortal:
    """A process that dies when told, and may refuse to start."""

    def __init__(self) -> None:
        self.pid: int | None = 1
        self.refuses = False
        self.starts = 0

    def restart(self) -> None:
        self.starts += 1
        if self.refuses:
            raise LocalError("Not now.")
        self.pid = 1


class Watch:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(supervise, "time", watch)
    return watch


def wait_of(one: Supervised, mortal: Mortal, watch: Watch) -> float:
    """Let it die; returns how long it takes until it is started again."""
    mortal.pid = None
    died, starts = watch.now, mortal.starts
    while mortal.starts == starts:
        one.tend()
        watch.now += 0.05
    return watch.now - died


def test_what_runs_is_left_alone(watch: Watch) -> None:
    mortal = Mortal()
    assert not Supervised("it", mortal).tend()
    assert mortal.starts == 0


def test_deaths_in_a_row_are_answered_later_and_later_and_a_long_life_forgets_them(watch: Watch) -> None:
    mortal = Mortal()
    one = Supervised("it", mortal)
    for expected in (*RESTART_SECONDS, RESTART_SECONDS[-1]):
        assert expected <= wait_of(one, mortal, watch) <= expected + 0.2
    assert one.restarts == len(RESTART_SECONDS) + 1
    watch.now += LIVED_SECONDS + 1
    assert wait_of(one, mortal, watch) < RESTART_SECONDS[1]
    assert one.facts() == {"name": "it", "pid": 1, "restarts": len(RESTART_SECONDS) + 2}


def test_a_refused_start_is_one_more_death(watch: Watch, capsys: pytest.CaptureFixture[str]) -> None:
    mortal = Mortal()
    one = Supervised("it", mortal)
    mortal.refuses = True
    wait_of(one, mortal, watch)
    assert "Not now." in capsys.readouterr().out
    assert one.restarts == 0
    mortal.refuses = False
    assert wait_of(one, mortal, watch) >= RESTART_SECONDS[1]
    assert one.restarts == 1

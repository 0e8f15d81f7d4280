"""Stand-ins in other people's classes: when they come, and when they go."""

from __future__ import annotations

from collections.abc import Callable

from pytest_lkagent.stand_ins import StandIns


class Phone:
    def ring(self) -> str:
        return "ring"


class Mobile(Phone):
    pass


def loud(ring: Callable[[Phone], str]) -> Callable[[Phone], str]:
    return lambda phone: ring(phone).upper()


def test_they_are_in_place_inside_and_what_was_there_is_back_afterwards():
    before = dict(vars(Phone)), dict(vars(Mobile))
    with StandIns((Phone, "ring", loud), (Mobile, "ring", loud)):
        assert Phone().ring() == "RING"
        assert Mobile().ring() == "RING"
    assert (dict(vars(Phone)), dict(vars(Mobile))) == before


def test_held_they_are_put_there_once_whoever_needs_them_meanwhile():
    stand_ins = StandIns((Phone, "ring", loud))
    with stand_ins:
        first = Phone.ring
        with stand_ins:
            assert Phone.ring is first
        with stand_ins:
            assert Phone.ring is first
    assert Phone().ring() == "ring"


def test_what_somebody_else_put_there_meanwhile_stays(monkeypatch):
    with StandIns((Phone, "ring", loud)):
        monkeypatch.setattr(Phone, "ring", lambda _: "theirs")
    assert Phone().ring() == "theirs"

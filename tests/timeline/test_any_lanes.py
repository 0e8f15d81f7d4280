"""Whatever happens in a call, its lanes can be drawn, and say it all."""

from __future__ import annotations

from collections import Counter

from calls import TIMES, timelines
from hypothesis import given
from hypothesis import strategies as st

from pytest_lkagent.timeline.cells import cells, clean, seconds


def texts(timeline):
    for speech in timeline.user:
        yield speech.text
        yield speech.heard if clean(speech.heard) != clean(speech.text) else ""
    for speech in timeline.agent:
        yield from (speech.text, speech.unsaid)
    yield from (tool.call for tool in timeline.tools)
    yield from map(str, timeline.moments)


def letters(texts):
    return Counter(letter for text in texts for letter in clean(text) if letter != " ")


@given(timelines(), st.integers(40, 160))
def test_any_call_fits_its_width_and_lacks_no_letter(timeline, width):
    lines = timeline.lanes(width=width)
    assert max(map(cells, lines)) <= width
    assert letters(texts(timeline)) - letters(lines) == Counter()


@given(timelines(), TIMES, st.none() | TIMES)
def test_any_moment_of_any_call_can_be_marked(timeline, mark, since):
    lines = timeline.lanes(mark=mark, since=since)
    assert max(map(cells, lines)) <= 100
    assert lines == timeline.lanes(mark=mark, since=since)
    marks = {f"^ {seconds(mark)}", f"{seconds(mark)} ^"}
    assert marks & {line.strip() for line in lines} or lines[0].startswith("nothing happened")

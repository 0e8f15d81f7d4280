"""The call as a picture: its structure, as a browser reads it, not its bytes."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

from calls import BOOKING, timelines
from hypothesis import given
from hypothesis import strategies as st

from pytest_lkagent.timeline import AgentSpeech, Moment, State, Timeline, ToolSpan, UserSpeech
from pytest_lkagent.timeline.cells import cells

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "voice-call.svg"
SVG = "{http://www.w3.org/2000/svg}"


def picture(timeline, **options):
    return ET.fromstring(timeline.to_svg(**options))


def groups(root, *kinds):
    """Return what is drawn of these kinds, each as its title and its group; no legend."""
    found = [group for group in root.iter(f"{SVG}g") if {*kinds} <= {*group.get("class").split()}]
    titled = [(group.findtext(f"{SVG}title"), group) for group in found]
    return [(title, group) for title, group in titled if title is not None]


def box(group):
    rect = group.find(f"{SVG}rect")
    return tuple(int(rect.get(name)) for name in ("x", "y", "width", "height"))


def words(root):
    """Return the words outside of bars: where each begins and ends, and what it says."""
    for text in root.findall(f"{SVG}text") + root.findall(f"{SVG}g/{SVG}text"):
        if "left" not in text.get("class", "") and text.get("class") != "name":
            said = "".join(text.itertext())
            x = int(text.get("x"))
            yield int(text.get("y")), x, x + 6.6 * cells(said), said


def test_the_picture_in_the_documentation_is_the_one_that_is_drawn():
    assert PICTURE.read_text(encoding="utf-8") == BOOKING.to_svg()


def test_a_picture_says_what_it_shows_to_those_who_cannot_see_it():
    root = picture(BOOKING, mark=13_650)
    assert root.get("role") == "img"
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == "A voice call of 31.2 s"
    assert root[1].text == (
        "The user speaks 4 times, the agent 4 times (cut off: 1). Tool calls: 2. Marked: 13.65 s."
    )


def test_every_bar_has_its_words_in_full_with_its_times():
    titles = [title for title, _ in groups(picture(BOOKING), "bar")]
    assert titles == [
        "user, 2.4 s to 4.6 s: I'd like a table for Friday, please.",
        "user, 7.1 s to 8.3 s: Wait, for Sunday. (heard: Wait, for some day.)",
        "agent, 0.3 s to 2.1 s: Trattoria Aurora, good evening!",
        (
            "agent, 5.15 s to 7.6 s: Friday it is. How many of you "
            "(unsaid: will be there, and at what time?) (after 550 ms)"
        ),
        "moments, 4.9 s: end of turn",
        "user, 13 s to 13.4 s: uh-huh (heard: nothing)",
        (
            "agent, 10.64 s to 17.3 s: On Sunday there is a table for two at seven, "
            "and one at nine on the terrace. (after 2340 ms) (paused 13.5 s to 15.65 s)"
        ),
        "tools, 9.15 s to 10.05 s: free_tables(day='Sunday')",
        "moments, 8.6 s: end of turn",
        "user, 17.6 s to 18.6 s: Seven, thanks.",
        "agent, 20.1 s to 22.5 s: You're booked for Sunday at seven. (after 1500 ms)",
        "tools, 18.98 s to 19.48 s: book(day='Sunday', time='19:00')",
        "moments, 18.9 s: end of turn",
        "moments, 31.2 s: hang up",
    ]


def test_a_bar_is_as_long_as_its_time():
    timeline = Timeline(
        now=8000,
        user=[
            UserSpeech(start=500, end=1500, text="a", heard="a"),
            UserSpeech(start=2000, end=5000, text="b", heard="b"),
        ],
        agent=[AgentSpeech(start=6000, end=6100, text="c")],
    )
    root = picture(timeline)
    (x1, y1, w1, _), (x2, y2, w2, _) = (box(group) for _, group in groups(root, "bar", "user"))
    [(x3, y3, w3, _)] = (box(group) for _, group in groups(root, "bar", "agent"))
    assert (w1, w2, w3) == (100, 300, 10)
    assert (x2 - x1, x3 - x1) == (150, 550)
    assert y1 == y2 < y3
    ticks = {text: x for _, x, _, text in words(root) if re.fullmatch(r"\d s", text)}
    assert ticks["5 s"] - ticks["2 s"] == 300


def test_what_was_cut_off_and_what_paused_is_seen():
    root = picture(BOOKING)
    bars = groups(root, "bar", "agent")
    [cut] = [title for title, group in bars if group.find(f"{SVG}line[@class='cut']") is not None]
    assert "(unsaid: will be there, and at what time?)" in cut
    [pause] = [
        group.find(f"{SVG}rect[@class='pause']")
        for _, group in bars
        if group.find(f"{SVG}rect[@class='pause']") is not None
    ]
    assert int(pause.get("width")) == 215


def test_the_mark_stands_at_its_time_in_the_whole_call():
    root = picture(BOOKING, mark=13_000)
    [mark] = root.findall(f"{SVG}line[@class='mark']")
    [uhuh] = [group for title, group in groups(root, "bar", "user") if "uh-huh" in title]
    assert int(mark.get("x1")) == box(uhuh)[0]
    assert root.findtext(f"{SVG}text[@class='mark-time']") == "13 s"


def test_a_mark_late_in_a_long_call_leaves_nothing_out():
    moments = [Moment(at=0, kind="ring"), Moment(at=100_000, kind="error")]
    root = picture(Timeline(now=200_000, moments=moments), mark=100_000)
    assert [title for title, _ in groups(root, "bar")] == [
        "moments, 0 s: ring",
        "moments, 100 s: error",
    ]
    assert "… 98.0 s …" in "".join(root.itertext())


def test_states_are_strips_named_where_there_is_room():
    timeline = Timeline(
        now=3000,
        states=[
            State(at=0, who="agent", state="listening"),
            State(at=1400, who="agent", state="thinking"),
            State(at=1500, who="agent", state="hypnotised"),
        ],
    )
    strips = groups(picture(timeline), "state")
    assert [title for title, _ in strips] == [
        "agent is listening",
        "agent is thinking",
        "agent is hypnotised",
    ]
    assert [group.findtext(f"{SVG}text") for _, group in strips] == [
        "listening",
        None,
        "hypnotised",
    ]
    assert strips[2][1].get("class") == "state agent other"


def test_what_was_said_cannot_break_the_picture():
    text = "</text><script>alert('&')</script>\x00\ud800\ufffe"
    timeline = Timeline(
        now=9000,
        user=[UserSpeech(start=0, end=100, text=text, heard="<b>")],
        tools=[ToolSpan(start=0, end=8000, call=text)],
        states=[State(at=0, who="user", state='"<away>"')],
        moments=[Moment(at=0, kind="error", text=text)],
    )
    root = picture(timeline)
    assert list(root.iter(f"{SVG}script")) == []
    assert "</text><script>alert('&')</script>\\x00\\ud800\\ufffe" in "".join(root.itertext())


def test_a_call_in_which_nothing_happened_has_a_picture_too():
    assert picture(Timeline(now=0)).findtext(f"{SVG}title") == "A voice call of 0 s"
    assert groups(picture(Timeline(now=50_000)), "bar") == []


@given(timelines(), st.none() | st.integers(0, 60_000))
def test_no_words_run_into_others_in_any_call(timeline, mark):
    source = timeline.to_svg(mark=mark)
    assert source == timeline.to_svg(mark=mark)
    placed = sorted(words(ET.fromstring(source)))
    for (row, _, end, _), (same, start, _, _) in pairwise(placed):
        assert row != same or end <= start


@given(timelines())
def test_no_bar_leaves_the_picture_or_covers_another(timeline):
    root = picture(timeline)
    boxes = sorted(
        (y, x, x + width)
        for _, group in groups(root, "bar")
        if group.find(f"{SVG}rect") is not None
        for x, y, width, _ in [box(group)]
    )
    assert all(0 <= x <= end <= int(root.get("width")) for _, x, end in boxes)
    for (row, _, end), (same, start, _) in pairwise(boxes):
        assert row != same or end <= start

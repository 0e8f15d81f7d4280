"""The call as lanes of text: what one sees in a terminal, in the log of a run."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

import pytest
from calls import BOOKING

from pytest_lkagent.timeline import AgentSpeech, Moment, State, Timeline, ToolSpan, UserSpeech

LANES = """
          |0 s      |1 s      |2 s      |3 s      |4 s      |5 s      |6 s      |7 s      |8 s
user                              [====================]                         [==========]
                                  I'd like a table for Friday, please.
                                                      Wait, for Sunday. (heard: Wait, for some day.)
agent        [================]                      +550 ms [=======================x
             Trattoria Aurora, good evening!
                            Friday it is. How many of you (unsaid: will be there, and at what time?)
moments                                                    * end of turn
user is   |listening              |speaking               |listening             |speaking
agent is  |in|speaking         |listening                  |t|speaking                |listen

                 |9 s      |10 s     |11 s     |12 s     |13 s     |14 s     |15 s     |16 s
user                                                     [==] uh-huh (heard: nothing)
agent                   +2340 ms [============================.....................================]
                        On Sunday there is a table for two at seven, and one at nine on the terrace.
tools             [=======] free_tables(day='Sunday')
moments      * end of turn
user is   |s|listening                                   |speak|listening
agent is  |li|thinking           |speaking                    |listening           |speaking

                 |18 s     |19 s     |20 s     |21 s     |22 s     |23 s
user         [========] Seven, thanks.
agent                        +1500 ms [======================] You're booked for Sunday at seven.
tools                     [===] book(day='Sunday', time='19:00')
moments                   * end of turn
user is   |li|speaking   |listening
agent is  |listening      |thinking   |speaking               |listening

           … 6.7 s …         |31 s
moments                        * hang up
user is   |listening
agent is  |listening
          x cut off   .... paused   +ms since the user's end
"""


def drawn(text: str) -> list[str]:
    return dedent(text).strip("\n").split("\n")


def said(start, end, text, **more):
    return UserSpeech(start=start, end=end, text=text, **{"heard": text, **more})


def test_a_call_is_drawn_as_lanes():
    assert str(BOOKING) == LANES.strip("\n")


def test_a_marked_moment_is_shown_with_what_was_around_it():
    assert BOOKING.lanes(mark=13_650, since=7000, width=80) == drawn(
        """
        … left out: the first 7 s, 2 utterances …
                  |7 s      |8 s      |9 s      |10 s     |11 s     |12 s     |13 s
        user       [==========]                       uh-huh (heard: nothing) [==]
                   Wait, for Sunday. (heard: Wait, for some day.)
        agent     <====x                     +2340 ms [============================....>
                  Friday it is. How many of you (unsaid: will be there, and at what
                  time?)
                     On Sunday there is a table for two at seven, and one at nine on the
                     terrace.
        tools                          [=======] free_tables(day='Sunday')
        moments                   * end of turn
        user is   ||speaking     |listening                                   |speak|lis
        agent is  |speak|listening|thinking           |speaking                    |list
                                                                            13.65 s ^

                  |14 s     |15 s     |16 s     |17 s     |18 s
        user                                          [========] Seven, thanks.
        agent     <...............================]
        user is   |listening                          |speaking
        agent is  |listening      |speaking        |listening
        … left out: the last 12.55 s, 1 utterance, 1 tool call …
                  x cut off   .... paused   > goes on   +ms since the user's end
        """
    )


def test_a_moment_is_marked_in_a_long_call_with_the_half_minute_before_it():
    turns = [said(at, at + 2000, f"turn {at}") for at in range(1000, 100_000, 10_000)]
    tools = [ToolSpan(start=3000, end=4000, call="book()")]
    lines = Timeline(now=100_000, user=turns, tools=tools).lanes(mark=65_000)
    assert lines[0] == "… left out: the first 35 s, 4 utterances, 1 tool call …"
    assert lines[-1] == "… left out: the last 30 s, 3 utterances …"
    [mark] = [line for line in lines if "^" in line]
    assert mark.strip() == "^ 65 s"
    assert [turn.text for turn in turns if turn.text in "\n".join(lines)] == [
        f"turn {at}" for at in (41_000, 51_000, 61_000)
    ]


def test_the_mark_stands_below_its_moment():
    lines = BOOKING.lanes(mark=7600)
    [speech] = [line for line in lines if line.endswith("=x")]
    [mark] = [line for line in lines if "^" in line]
    assert mark.index("^") == len(speech)  # the bar ends before the moment at which it was cut off


def test_a_call_in_which_nothing_happened_says_so():
    assert Timeline(now=2500).lanes(mark=2000) == ["nothing happened in a call of 2.5 s"]


def test_one_instant_is_a_call():
    timeline = Timeline(now=0, moments=[Moment(at=0, kind="dtmf", text="1#")])
    assert timeline.lanes() == drawn(
        """
                  |0 s
        moments   * dtmf: 1#
        """
    )


def test_what_is_still_under_way_is_open_at_the_end():
    timeline = Timeline(
        now=4000,
        agent=[AgentSpeech(start=500, text="Let me see", pauses=[(2000, None)])],
        tools=[ToolSpan(start=1000, call="look()")],
    )
    assert timeline.lanes(width=80) == drawn(
        """
                  |0 s      |1 s      |2 s      |3 s      |4 s
        agent          [==============...................> Let me see
        tools               [look()                      >
                  .... paused   > goes on
        """
    )


def test_a_state_that_begins_as_the_call_is_drawn_stands_behind_the_one_before():
    states = {0: "listening", 7300: "speaking", 7700: "listening"}
    timeline = Timeline(
        now=7700,
        user=[UserSpeech(start=400, end=7000, text="hi", heard="hi")],
        agent=[AgentSpeech(start=7300, end=7700, text="Ok.", latency=300)],
        states=[State(at=at, who="agent", state=state) for at, state in states.items()],
    )
    assert timeline.lanes() == drawn(
        """
                  |0 s      |1 s      |2 s      |3 s      |4 s      |5 s      |6 s      |7 s
        user          [hi                                                              ]
        agent                                                                      +300 ms [==] Ok.
        agent is  |listening                                                               |spe|listening
                  +ms since the user's end
        """  # noqa: E501
    )


def test_a_long_silence_is_folded_and_the_lanes_go_on():
    timeline = Timeline(
        now=65_000,
        user=[said(1000, 2000, "Hello?"), said(62_000, 63_000, "Hello?")],
        states=[State(at=0, who="user", state="listening")],
    )
    assert timeline.lanes(width=100) == drawn(
        """
                  |0 s      |1 s      |2 s       … 58.0 s … |61 s     |62 s     |63 s
        user                [Hello?  ]                                [Hello?  ]
        user is   |listening

                    |64 s     |65 s
        user is   |listening
        """
    )


def test_those_who_speak_at_once_are_seen_at_once():
    timeline = Timeline(
        now=5000,
        user=[said(1000, 4000, "I want to say something")],
        agent=[
            AgentSpeech(start=2000, end=5000, text="So do I"),
            AgentSpeech(start=2500, end=2510, text="A", unsaid="lso me", interrupted=True),
        ],
    )
    assert timeline.lanes(width=80) == drawn(
        """
                  |0 s      |1 s      |2 s      |3 s      |4 s      |5 s
        user                [I want to say something     ]
        agent                         [So do I                     ]
                                           x A (unsaid: lso me)
                  x cut off
        """
    )


def test_noise_and_what_was_not_heard_is_said():
    timeline = Timeline(
        now=4000,
        user=[
            UserSpeech(start=0, end=900, text="Yes"),
            UserSpeech(start=1500, end=1600, text=""),
            UserSpeech(start=3000, end=3200, text="", heard="mm"),
        ],
    )
    assert timeline.lanes(width=80) == drawn(
        """
                  |0 s      |1 s      |2 s      |3 s      |4 s
        user      [Yes    ]      | (noise)      [] (noise) (heard: mm)
                  (heard: nothing)
        """
    )


def test_a_tool_that_failed_and_tools_at_once_each_have_their_words():
    timeline = Timeline(
        now=3000,
        tools=[
            ToolSpan(start=0, end=2000, call="seats(day='Sunday')"),
            ToolSpan(start=100, end=100, call="weather()", is_error=True),
            ToolSpan(start=2000, end=3000, call="book()"),
        ],
    )
    assert timeline.lanes(width=80) == drawn(
        """
                  |0 s      |1 s      |2 s      |3 s
        tools     [==================] seats(day='Sunday')
                   | weather() (failed)
                                      [book()  ]
        """
    )


def test_an_agent_who_takes_over_is_named():
    timeline = Timeline(
        now=6000,
        agent=[
            AgentSpeech(start=0, end=1000, text="Hi", agent="Desk"),
            AgentSpeech(start=2000, end=3000, text="One moment", agent="Desk"),
            AgentSpeech(start=4000, end=6000, text="Kitchen", agent="Cook"),
        ],
    )
    text = str(timeline)
    assert "Desk: Hi" in text
    assert "Desk: One" not in text
    assert "Cook: Kitchen" in text


def test_words_that_are_too_long_for_a_line_stand_on_several():
    text = "We have " + ", ".join(f"a table at {hour}" for hour in range(12)) + "."
    timeline = Timeline(now=3000, agent=[AgentSpeech(start=500, end=3000, text=text)])
    assert timeline.lanes(width=60) == drawn(
        """
                  |0 s      |1 s      |2 s      |3 s
        agent          [=======================]
                   We have a table at 0, a table at 1, a table at 2,
                   a table at 3, a table at 4, a table at 5, a table
                   at 6, a table at 7, a table at 8, a table at 9, a
                   table at 10, a table at 11.
        """
    )


def test_wide_letters_keep_the_lanes_straight():
    timeline = Timeline(now=4000, user=[said(0, 2000, "予約をお願い"), said(3000, 4000, "はい")])
    assert timeline.lanes(width=80) == drawn(
        """
                  |0 s      |1 s      |2 s      |3 s      |4 s
        user      [予約をお願い      ]          [はい    ]
        """
    )


def test_what_would_move_the_cursor_is_written_out():
    timeline = Timeline(now=2000, user=[said(0, 2000, "a\x1b[2Jb\n\tc\u202ed\ud800")])
    assert "[a\\x1b[2Jb cd\\ud800" in str(timeline)


def test_a_long_speech_goes_on_in_the_next_stave():
    timeline = Timeline(
        now=9000,
        agent=[AgentSpeech(start=0, end=9000, text="So", unsaid="long", interrupted=True)],
    )
    assert timeline.lanes(width=60) == drawn(
        """
                  |0 s      |1 s      |2 s      |3 s      |4 s
        agent     [So                                              >

                  |5 s      |6 s      |7 s
        agent     <==========================>

                    |8 s      |9 s
        agent     <==========x (unsaid: long)
                  x cut off   > goes on
        """
    )


def test_two_hours_of_talk_fit_line_by_line():
    starts = range(0, 7_200_000, 18_000)
    timeline = Timeline(
        now=7_200_000,
        user=[said(at, at + 3000, f"This is turn {at}") for at in starts],
        agent=[
            AgentSpeech(start=at + 3600, end=at + 8000, text=f"I heard {at}", latency=600)
            for at in starts
        ],
    )
    lines = timeline.lanes()
    assert max(map(len, lines)) <= 100
    assert len(lines) < 400 * 8
    text = "\n".join(lines)
    assert all(f"This is turn {at}" in text and f"I heard {at}" in text for at in starts)


@pytest.mark.parametrize("width", [-5, 0, 39])
def test_a_page_that_is_too_narrow_is_taken_as_forty_columns(width):
    assert BOOKING.lanes(width=width) == BOOKING.lanes(width=40)


def test_who_begins_to_speak_is_named_with_the_first_word():
    begun = AgentSpeech(start=2000, text="", agent="Billing")
    timeline = Timeline(
        now=2500, agent=[AgentSpeech(start=0, end=1900, text="Hello", agent="Desk"), begun]
    )
    assert not any("Billing" in line for line in timeline.lanes())
    timeline = replace(timeline, agent=[timeline.agent[0], replace(begun, text="One")])
    assert any("Billing: One" in line for line in timeline.lanes())

"""Calls that were invented: one in which a table is booked, and any that there could be.

The first has the times that LiveKit's defaults make: the user speaks after 50 ms of sound, listens
after 250 ms of silence, and the turn is over after 300. The agent stops for half a second of sound,
and goes on 2 s after it was none.
"""

from __future__ import annotations

from hypothesis import strategies as st

from pytest_lkagent.timeline import AgentSpeech, Moment, State, Timeline, ToolSpan, UserSpeech

AGENT_STATES = {
    0: "initializing",
    300: "speaking",
    2100: "listening",
    4900: "thinking",
    5150: "speaking",
    7600: "listening",
    8600: "thinking",
    10_640: "speaking",
    13_500: "listening",
    15_650: "speaking",
    17_300: "listening",
    18_900: "thinking",
    20_100: "speaking",
    22_500: "listening",
}
USER_STATES = {
    0: "listening",
    2450: "speaking",
    4850: "listening",
    7150: "speaking",
    8550: "listening",
    13_050: "speaking",
    13_650: "listening",
    17_650: "speaking",
    18_850: "listening",
}

BOOKING = Timeline(
    now=31_200,
    user=[
        UserSpeech(
            start=2400,
            end=4600,
            text="I'd like a table for Friday, please.",
            heard="I'd like a table for Friday, please.",
        ),
        UserSpeech(start=7100, end=8300, text="Wait, for Sunday.", heard="Wait, for some day."),
        UserSpeech(start=13_000, end=13_400, text="uh-huh"),
        UserSpeech(start=17_600, end=18_600, text="Seven, thanks.", heard="Seven, thanks."),
    ],
    agent=[
        AgentSpeech(start=300, end=2100, text="Trattoria Aurora, good evening!"),
        AgentSpeech(
            start=5150,
            end=7600,
            text="Friday it is. How many of you",
            unsaid="will be there, and at what time?",
            interrupted=True,
            latency=550,
        ),
        AgentSpeech(
            start=10_640,
            end=17_300,
            text="On Sunday there is a table for two at seven, and one at nine on the terrace.",
            pauses=[(13_500, 15_650)],
            latency=2340,
        ),
        AgentSpeech(
            start=20_100, end=22_500, text="You're booked for Sunday at seven.", latency=1500
        ),
    ],
    tools=[
        ToolSpan(start=9150, end=10_050, call="free_tables(day='Sunday')"),
        ToolSpan(start=18_980, end=19_480, call="book(day='Sunday', time='19:00')"),
    ],
    states=[
        *(State(at=at, who="agent", state=state) for at, state in AGENT_STATES.items()),
        *(State(at=at, who="user", state=state) for at, state in USER_STATES.items()),
    ],
    moments=[
        Moment(at=4900, kind="end of turn"),
        Moment(at=8600, kind="end of turn"),
        Moment(at=18_900, kind="end of turn"),
        Moment(at=31_200, kind="hang up"),
    ],
)


TIMES = st.integers(0, 60_000)
TEXTS = st.text(max_size=8).flatmap(lambda text: st.sampled_from([text, text * 20]))


def spans(kind, **fields):
    def make(times, rest):
        return kind(start=min(times), end=max(times), **rest)

    made = st.builds(make, st.tuples(TIMES, TIMES), st.fixed_dictionaries(fields))
    return st.lists(made, max_size=4)


@st.composite
def timelines(draw):
    return Timeline(
        now=draw(TIMES),
        user=draw(spans(UserSpeech, text=TEXTS, heard=TEXTS)),
        agent=draw(
            spans(
                AgentSpeech,
                text=TEXTS,
                unsaid=TEXTS,
                interrupted=st.booleans(),
                latency=st.none() | TIMES,
                agent=st.none() | st.sampled_from(["Desk", "Cook"]),
                pauses=st.lists(st.tuples(TIMES, TIMES).map(sorted).map(tuple), max_size=2),
            )
        ),
        tools=draw(spans(ToolSpan, call=TEXTS, is_error=st.booleans())),
        states=draw(
            st.lists(
                st.builds(
                    State,
                    at=TIMES,
                    who=st.sampled_from(["user", "agent"]),
                    state=st.sampled_from(["listening", "thinking", "speaking", "away"]),
                ),
                max_size=4,
            )
        ),
        moments=draw(st.lists(st.builds(Moment, at=TIMES, kind=TEXTS, text=TEXTS), max_size=4)),
    )

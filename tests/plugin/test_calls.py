"""`voice_call`: what a user reads of a telephone call with the agent."""

from __future__ import annotations

import pytest

HOST = '''\
from livekit.agents import Agent, function_tool


class Host(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book tables.")

    async def on_enter(self) -> None:
        self.session.on("user_state_changed", self.on_user_state)
        self.session.say("Good evening, how can I help?")

    def on_user_state(self, event) -> None:
        if event.new_state == "away":
            self.session.say("Are you still there?")

    @function_tool
    async def book(self, people: int) -> str:
        """Book a table."""
        return f"booked for {people}"
'''
CONFTEST = """\
import pytest
from host import Host


@pytest.fixture
def agent():
    return Host
"""


@pytest.fixture
def telephone(desk):
    """Run the test of one call with a Host that speaks first."""

    def run(body, conftest=CONFTEST):
        return desk({"host.py": HOST, "conftest.py": conftest, "test_it.py": body}).run()

    return run


def test_a_call_is_told_as_one_would_tell_it(telephone):
    result = telephone("""
        import pytest
        from pytest_lkagent import call, say

        async def test_a_table(voice_call, fake_llm):
            fake_llm.script(
                say("For what time?"), call("book", people=2), say("See you at eight then."),
            )
            await voice_call.agent_answers("Good evening", within=0.1)
            heard = await voice_call.say("a table for two", at=4.0, lasts=1.5)
            assert (heard.start, heard.end, heard.text) == (4000, 5500, "a table for two")
            answer = await voice_call.agent_answers("For what time?", within=0.8)
            assert answer.latency == 300  # LiveKit waits as long, and VAD found silence by then
            await voice_call.say("eight o'clock")
            await voice_call.agent_answers("See you at eight", within=0.8)
            calls = [tool.call for tool in voice_call.timeline.tools]
            assert calls == ["book(people=2)"]
        """)
    result.outcomes(passed=1)


def test_the_agent_stops_where_it_is_interrupted_and_the_history_keeps_what_was_said(telephone):
    result = telephone("""
        from pytest_lkagent import say

        async def test_wait(voice_call, fake_llm):
            fake_llm.script(say("We have a table at seven, and one at nine."), say("Seven then."))
            await voice_call.say("a table for two", at=4.0)
            await voice_call.interrupt("no wait, seven is fine", after=0.6)
            cut = await voice_call.agent_stops(within=0.6)
            await voice_call.agent_answers("Seven then.")
            message = voice_call.session.history.messages()[2]
            assert message.interrupted
            assert message.text_content.strip() == voice_call.timeline.agent[1].text
            assert voice_call.timeline.agent[1].unsaid.endswith("at nine.")
        """)
    result.outcomes(passed=1)


def test_the_very_instant_at_which_somebody_ends_or_says_something_has_not_passed(telephone):
    """What floats make of 6.62 + 0.52 is later than 7.14, and of 4.02 + 0.3 earlier than 4.32."""
    result = telephone("""
        async def test_one_after_the_other(voice_call, fake_llm):
            fake_llm.script("Hello.")
            await voice_call.say("good", at=6.62, lasts=0.52)
            await voice_call.say("morning", at=7.14)
            await voice_call.agent_answers("Hello.")

        async def test_in_at_once(voice_call, fake_llm):
            await voice_call.settle()
            fake_llm.script("We have a table at seven, and one at nine.", "Seven then.")
            await voice_call.say("a table", at=2.72, lasts=1)
            await asyncio.sleep(0.6)
            assert (voice_call.timeline.agent[-1].start, voice_call.now) == (4020, 4.32)
            assert 4.02 + 0.3 < 4.32
            await voice_call.interrupt("at seven", after=0.3)
            await voice_call.agent_answers("Seven then.")
        """)
    result.outcomes(passed=2)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (
            "await voice_call.say('hello', at=4, lasts=1); await voice_call.say('you', at=2)",
            "*UsageError: voice_call.say('you', at=2): it is 5.000 s into the call already: *",
        ),
        (
            (
                "await asyncio.gather(voice_call.say('hello', at=4, lasts=1), "
                "voice_call.say('you', at=4.5))"
            ),
            (
                "*UsageError: voice_call.say('you', at=4.5): the user speaks already, until 5 s: "
                "one mouth says one thing at a time"
            ),
        ),
        (
            "await voice_call.settle(); await voice_call.interrupt('wait', after=0.4)",
            (
                "*UsageError: voice_call.interrupt('wait', after=0.4): the agent does not speak "
                "any more, it finished at 1.933 s: there is nothing to interrupt"
            ),
        ),
        (
            "await voice_call.silence(1); await voice_call.interrupt('wait', after=0.4)",
            "*UsageError: voice_call.interrupt('wait', after=0.4): the agent has spoken for *",
        ),
        (
            "await voice_call.interrupt('wait', after=9)",
            (
                "*UsageError: voice_call.interrupt('wait', after=9): the agent had finished after "
                "1.933 s"
            ),
        ),
        (
            "await voice_call.interrupt('wait', after=400)",
            (
                "*UsageError: voice_call.interrupt('wait', after=400): the agent had finished "
                "after 1.933 s; 400 means seconds: write 0.4 for 400 ms"
            ),
        ),
        (
            "await voice_call.say('hello', lasts=-1)",
            (
                "*UsageError: voice_call.say('hello', …): lasts=-1: how many seconds? write more "
                "than 0, such as 1.5"
            ),
        ),
        (
            "fake_tts.voice('Good evenin', lasts=2); await voice_call.settle()",
            (
                "voice('Good evenin') (test_it.py:12): the agent never said that; it said "
                "'Good evening, how can I help?'"
            ),
        ),
        (
            "await voice_call.say('hello', at=4, hears='cello')",
            "*UsageError: voice_call.say() got an unexpected keyword argument 'hears'; did you *",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line(telephone, body, line):
    result = telephone(f"""
        from pytest_lkagent import say

        async def test_it(voice_call, fake_llm, fake_tts):
            {body}
        """)
    assert result.counts.get("failed") == 1, str(result)
    result.shows(line)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (
            "await voice_call.agent_answers(within=0.2)",
            "*the agent answered 300 ms after the end of 'a table', and has to within 200 ms",
        ),
        (
            "await voice_call.agent_answers('When?')",
            "*the agent answered 'a table' with 'For what time?', and has to begin with 'When?'",
        ),
        (
            (
                "await voice_call.agent_answers(); await voice_call.backchannel(after=0.1, "
                "lasts=0.3, heard=''); await voice_call.agent_stops(within=0.3)"
            ),
            (
                "*the agent stopped 500 ms into 'uh-huh', and has to within 300 ms: min_duration "
                "is 0.5 s; turn_handling={'interruption': {'min_duration': 0.3}} lets it stop by "
                "then"
            ),
        ),
        (
            "await voice_call.agent_keeps_silent(3)",
            "*the agent was to be silent, and said 'For what time?'",
        ),
        (
            (
                "await voice_call.settle(); await voice_call.say('hm', heard=''); "
                "await voice_call.agent_answers()"
            ),
            "*the agent did not answer 'hm': nothing was heard of it",
        ),
        (
            (
                "await voice_call.agent_answers('For what time?'); "
                "await voice_call.agent_answers('Anything else?')"
            ),
            ("*the agent said nothing after 'For what time?', which the claim before is about"),
        ),
        (
            (
                "await voice_call.settle(); fake_llm.script(silence()); "
                "await voice_call.say('hm'); await voice_call.agent_answers()"
            ),
            "*the agent did not answer 'hm': the model answered with silence() (test_it.py:*)",
        ),
    ],
)
def test_what_the_agent_is_wrongly_claimed_to_do_fails_with_the_timeline(telephone, body, line):
    result = telephone(f"""
        from pytest_lkagent import say, silence

        async def test_it(voice_call, fake_llm, fake_tts):
            fake_llm.script(say("For what time?"))
            await voice_call.say("a table", at=4.0)
            {body}
        """)
    result.outcomes(failed=1)
    result.shows(line, "*|0 s*", "*user *[=*")


def test_a_caller_presses_keys_and_hangs_up(telephone):
    result = telephone("""
        import pytest

        async def test_keys(voice_call, job_context):
            pressed = []
            job_context.room.on("sip_dtmf_received", lambda event: pressed.append(event.digit))
            await voice_call.settle()
            await voice_call.dtmf("1#")
            await voice_call.hang_up()
            assert pressed == ["1", "#"]
            told = [str(moment) for moment in voice_call.timeline.moments]
            assert told == ["dtmf: 1#", "hang up", "close: participant_disconnected"]
            with pytest.raises(BaseException, match="nobody hears it: the session closed"):
                await voice_call.say("hello?")
        """)
    result.outcomes(passed=1)


def test_an_agent_asks_again_after_a_silence(telephone):
    result = telephone("""
        async def test_silence(voice_call):
            await voice_call.settle()
            await voice_call.silence(15.5)
            question = await voice_call.agent_answers("Are you still there?")
            assert question.start == voice_call.timeline.agent[0].end + 15_000
        """)
    result.outcomes(passed=1)


def test_an_agent_without_tts_is_told_of(telephone):
    result = telephone(
        """
        async def test_it(voice_call):
            await voice_call.settle()
        """,
        CONFTEST + "\n\n@pytest.fixture\ndef session_options():\n    return {'tts': None}\n",
    )
    result.shows("*Host has no TTS: nobody would hear what it says in a call; give one to *")


def test_a_report_looks_at_the_call_when_the_test_is_over(telephone):
    conftest = (
        CONFTEST
        + """

@pytest.fixture(autouse=True)
def report(voice_call):
    yield
    print(f"took {voice_call.timeline.now} ms")
    assert voice_call.timeline.to_svg().startswith("<svg")
"""
    )
    result = telephone("async def test_it(voice_call): await voice_call.settle()", conftest)
    result.outcomes(passed=1)


def test_a_voice_in_a_test_in_text_is_refused(telephone):
    result = telephone("""
        async def test_it(agent_session, fake_tts):
            fake_tts.voice("Good evening, how can I help?", lasts=2)
        """)
    result.outcomes(failed=1)
    result.shows("voice('Good evening, *') (test_it.py:*): nobody speaks in a test in text; take *")


def test_what_a_test_leaves_under_way_is_heard_out(telephone):
    result = telephone("""
        from pytest_lkagent import say

        async def test_nobody_scripted_it(voice_call):
            await voice_call.say("a table please", at=4)

        async def test_all_is_well(voice_call, fake_llm):
            fake_llm.script(say("For how many?"))
            await voice_call.say("a table please", at=4)
        """)
    result.outcomes(failed=1, passed=1)
    result.shows("*asked its model for a completion that nobody scripted*")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("await voice_call.say(None)", "*UsageError: voice_call.say(None): what is said is a text"),
        (
            "await voice_call.agent_answers('')",
            "*voice_call.agent_answers(''): what it begins with is a text; none is any answer",
        ),
        (
            "await voice_call.agent_answers(5)",
            "*voice_call.agent_answers(5): what it begins with is a text; none is any answer",
        ),
        (
            "await voice_call.say('a', lasts='2s')",
            "*UsageError: voice_call.say('a', …): lasts='2s': how many seconds? write a number, *",
        ),
        (
            "await voice_call.say('a', at='4s')",
            (
                "*UsageError: voice_call.say('a', at='4s'): how many seconds? write a number, such "
                "as 1.5"
            ),
        ),
        (
            "await voice_call.silence('4s')",
            "*UsageError: voice_call.silence('4s'): how many seconds? *",
        ),
        (
            "await voice_call.silence(float('inf'))",
            "*UsageError: voice_call.silence(inf): how many seconds? write a number, such as 1.5",
        ),
        (
            "await voice_call.interrupt('a', after='1s')",
            "*UsageError: voice_call.interrupt('a', after='1s'): how many seconds? *",
        ),
        (
            "await voice_call.interrupt('a')",
            (
                "*UsageError: voice_call.interrupt('a'): when? write after= so many seconds of the "
                "agent's words, such as after=0.4"
            ),
        ),
        (
            "await voice_call.backchannel()",
            "*UsageError: voice_call.backchannel('uh-huh'): when? *",
        ),
        (
            "await voice_call.agent_keeps_silent('4s')",
            "*UsageError: voice_call.agent_keeps_silent('4s'): how many seconds? *",
        ),
        (
            "await voice_call.agent_answers(within='800ms')",
            "*UsageError: voice_call.agent_answers(within='800ms'): how many seconds? *",
        ),
        (
            "await voice_call.dtmf(12)",
            "*UsageError: voice_call.dtmf(12): which keys? write a text, *",
        ),
        (
            "await voice_call.say('a', error='down')",
            (
                "*UsageError: voice_call.say('a', …): error=… takes an exception, such as *, not "
                "'down'"
            ),
        ),
        (
            "await voice_call.say('a', attempts=2)",
            (
                "*UsageError: voice_call.say('a', …): attempts=2: attempts at what? write the "
                "error beside it that these raise, such as APIConnectionError('down')"
            ),
        ),
        (
            "await voice_call.say('a', error=OSError('down'), attempts=0)",
            "*UsageError: voice_call.say('a', …): attempts=0: at least one attempt fails: *",
        ),
        (
            "await voice_call.say('a', confidence=90)",
            "*UsageError: voice_call.say('a', …): confidence=90: write a number from 0 to 1",
        ),
        (
            "await voice_call.say('a', heard=['b'])",
            "*UsageError: voice_call.say('a', …): heard=['b']: write a text",
        ),
        (
            "await voice_call.say('a', language=None)",
            "*UsageError: voice_call.say('a', …): language=None: write a code, such as 'de'",
        ),
        (
            "await voice_call.say('a', preflight='early')",
            "*UsageError: voice_call.say('a', …): preflight='early': write True or False",
        ),
        (
            "fake_tts.voice('A.', fails=ValueError)",
            "*UsageError: voice(fails=…) takes an exception, such as *, not <class 'ValueError'>",
        ),
        (
            "fake_tts.voice('A.', lasts=1, attempts=4)",
            "*UsageError: voice(attempts=4): attempts at what? write the error beside it *",
        ),
        (
            "fake_tts.voice('A.', after=0.5)",
            "*UsageError: voice(after=0.5): seconds before what? write fails= beside it, *",
        ),
        ("fake_tts.voice(' ', lasts=2)", "*UsageError: voice(' '): which text? leave it out for *"),
        (
            "await voice_call.hang_up(); await voice_call.dtmf('1')",
            "*UsageError: nobody is on the line any more: the session closed (participant_*",
        ),
        (
            "await voice_call.say('hello', lasts=1500)",
            (
                "*UsageError: voice_call.say('hello', …): lasts=1500: that is 25 minutes; times "
                "are seconds, 1.5 for 1500 ms"
            ),
        ),
        (
            "fake_tts.voice('Hello.', ttfb=400)",
            "*UsageError: voice(ttfb=400): that is 7 minutes; times are seconds, 0.4 for *",
        ),
        (
            "await voice_call.say('hello', at=4000)",
            (
                "*UsageError: voice_call.say('hello', at=4000): that is 67 minutes from now: write "
                "4 for 4000 ms, or let a silence pass before"
            ),
        ),
        (
            (
                "voice_call.session.say('Yes. No.'); await voice_call.settle(); "
                "fake_tts.voice('Yes. No.', lasts=2)"
            ),
            "voice('Yes. No.') (test_it.py:*): it was said before that; *",
        ),
        (
            "await voice_call.settle(); fake_tts.voice('Good evening, how can I help?', lasts=2)",
            "voice('Good evening, how can I help?') (test_it.py:*): it was said before that; *",
        ),
    ],
)
def test_what_is_no_time_no_text_and_no_error_is_refused_at_once(telephone, body, line):
    result = telephone(f"""
        async def test_it(voice_call, fake_tts):
            {body}
        """)
    assert result.counts.get("failed") == 1, str(result)
    result.shows(line)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (
            "await voice_call.agent_answers(within=800)",
            (
                "*UsageError: voice_call.agent_answers(within=800): that is 800 seconds, and "
                "nobody waits for more than 60; write 0.8 for 800 ms"
            ),
        ),
        (
            "await voice_call.interrupt('a', after=1); await voice_call.agent_stops(within=300)",
            "*UsageError: voice_call.agent_stops(within=300): *; write 0.3 for 300 ms",
        ),
        (
            "await voice_call.interrupt('a', after=1); await voice_call.agent_resumes(within=500)",
            "*UsageError: voice_call.agent_resumes(within=500): *; write 0.5 for 500 ms",
        ),
    ],
)
def test_a_claim_in_milliseconds_that_could_not_fail_is_refused(telephone, body, line):
    result = telephone(f"async def test_it(voice_call): {body}")
    result.outcomes(failed=1)
    result.shows(line)


def test_a_claim_may_reach_as_far_back_as_time_has_passed(telephone):
    result = telephone("""
        @pytest.fixture
        def session_options():
            return {"user_away_timeout": 90.0}

        async def test_patience(voice_call):
            await voice_call.settle()
            await voice_call.silence(91)
            await voice_call.agent_answers("Are you still there?", within=90)
        """)
    result.outcomes(passed=1)


def test_whoever_says_when_does_that_then(telephone):
    result = telephone("""
        import pytest

        async def test_it(voice_call):
            await voice_call.silence(2, at=3)
            assert voice_call.now == 5
            await voice_call.dtmf("1", at=6)
            await voice_call.hang_up(at=7)
            keys, end, _ = voice_call.timeline.moments
            assert (keys.at, str(keys)) == (6000, "dtmf: 1")
            assert (end.at, str(end)) == (7000, "hang up")

        async def test_over_the_agents_words(voice_call):
            await voice_call.hang_up(at=1)
            (greeting,) = voice_call.timeline.agent
            assert (greeting.end, greeting.interrupted) == (1000, True)

        @pytest.mark.parametrize(
            ("does", "given"), [("silence", 1), ("dtmf", "1"), ("hang_up", ...)]
        )
        async def test_too_late(does, given, voice_call):
            await voice_call.silence(2)
            await getattr(voice_call, does)(*([] if given is ... else [given]), at=1)
        """)
    result.outcomes(passed=2, failed=3)
    result.shows(
        *(
            f"E *UsageError: voice_call.{what}: it is 2.000 s into the call already: *"
            for what in ("silence(1, at=1)", "dtmf('1', at=1)", "hang_up(at=1)")
        )
    )


def test_a_voice_that_fails_with_any_error_is_heard_of(telephone):
    result = telephone("""
        from livekit.agents import APIConnectionError
        from pytest_lkagent import say

        async def test_it(voice_call, fake_llm, fake_tts):
            fake_llm.script(say("For how many?"))
            fake_tts.voice("For how many?", fails=ValueError("no such voice"))
            await voice_call.say("a table please", at=4)

        async def test_recognition_that_stays_away(voice_call):
            await voice_call.say("a table", at=4, error=APIConnectionError("gone"), attempts=4)
        """)
    result.outcomes(failed=2)
    result.shows("the voice failed: ValueError: no such voice; *", "*APIConnectionError: *")
    result.shows_no("*background_error*")


def test_words_in_the_middle_of_which_a_call_fails_are_not_taken_for_unheard(telephone):
    result = telephone("""
        from pytest_lkagent import say

        async def test_it(voice_call, fake_llm):
            fake_llm.script(say("We have one at seven, and another one at nine."), say("Fine."))
            await voice_call.say("a table", at=4.0)
            await voice_call.interrupt("stop, please", after=1, lasts=2)
            await voice_call.agent_stops(within=0.2)

        async def test_once_it_is_known(voice_call, fake_llm):
            said = await voice_call.say("a table", at=4.0)
            fake_llm.script(say("For what time?"))
            assert said.heard is None
            await voice_call.agent_answers()
            assert voice_call.timeline.user[0].heard == "a table"
        """)
    result.outcomes(failed=1, passed=1)
    result.shows("*the agent stopped * ms into 'stop, please', and has to within 200 ms*")
    assert "[==" in str(result)
    assert "(heard" not in str(result)


def test_what_livekit_does_not_run_for_a_text_runs_in_a_call(desk):
    result = desk(
        {
            "test_it.py": """
            import pytest
            from livekit.agents import Agent

            ran = set()

            class Talker(Agent):
                def __init__(self):
                    super().__init__(instructions="You talk.")

                async def on_user_turn_completed(self, turn_ctx, new_message):
                    ran.add("on_user_turn_completed")

                async def stt_node(self, audio, settings):
                    ran.add("stt_node")
                    async for heard in Agent.default.stt_node(self, audio, settings):
                        yield heard

                async def tts_node(self, text, settings):
                    ran.add("tts_node")
                    async for frame in Agent.default.tts_node(self, text, settings):
                        yield frame

                async def transcription_node(self, text, settings):
                    ran.add("transcription_node")
                    async for shown in Agent.default.transcription_node(self, text, settings):
                        yield shown

            @pytest.fixture
            def agent(fake_llm):
                fake_llm.script("Hi.")
                return Talker

            async def test_a_text(user_says):
                await user_says("hello")
                assert ran == {"transcription_node"}

            async def test_one_that_counts_as_heard(user_says):
                await user_says("hello", input_modality="audio")
                assert ran == {"transcription_node"}

            async def test_a_call(voice_call, user_says):
                await user_says("hello")
                assert len(ran) == 4
            """
        }
    ).run()
    result.outcomes(passed=3)

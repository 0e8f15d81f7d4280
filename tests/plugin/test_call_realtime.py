"""An agent with a realtime model on the telephone: the same script, the same call."""

from __future__ import annotations

from textwrap import dedent

import pytest
from livekit.agents import llm

HOST = '''\
from livekit.agents import Agent, function_tool, llm
from pytest_lkagent import FakeLLM, FakeRealtimeModel


def model(**capabilities) -> llm.RealtimeModel:
    """A model as of some other company: nobody here may ever open a session with it."""
    theirs = FakeRealtimeModel(FakeLLM(), **capabilities).capabilities
    return Theirs(capabilities=theirs)


class Theirs(llm.RealtimeModel):
    def session(self, **how):
        raise AssertionError("a connection to the model's server")

    async def aclose(self):
        pass


class Host(Agent):
    def __init__(self, llm=None, **options) -> None:
        super().__init__(instructions="You book tables.", llm=llm or model(), **options)

    @function_tool
    async def book(self, people: int) -> str:
        """Book a table."""
        return f"booked for {people}"

    @function_tool
    async def kitchen(self) -> Agent:
        """Put the caller through."""
        return Cook(self)


class Cook(Agent):
    """A pipeline."""

    def __init__(self, host) -> None:
        super().__init__(instructions="You cook.")
        self.host = host

    async def on_enter(self) -> None:
        self.session.generate_reply()

    @function_tool
    async def back(self) -> Agent:
        """Give the caller back."""
        return self.host
'''
CONFTEST = """\
import pytest
from host import Host


@pytest.fixture
def agent():
    return Host


@pytest.fixture
def session_options(request):
    marker = request.node.get_closest_marker("session")
    return marker.kwargs if marker else {}
"""
INI = "markers = session: what the session under test is given\n"


@pytest.fixture
def telephone(desk):
    """Run tests of calls with a Host whose model hears and speaks by itself."""

    def run(body, *arguments, **files):
        named = {name.replace("_yaml", ".yaml"): content for name, content in files.items()}
        made = {
            "host.py": HOST,
            "entrypoints.py": ENTRYPOINTS,
            "conftest.py": CONFTEST,
            "test_it.py": HEAD + dedent(body),
            **named,
        }
        return desk(made, ini=INI).run(*arguments)

    return run


HEAD = """
import entrypoints
import host
from livekit.agents import APIError, function_tool, inference
from pytest_lkagent import FakeLLM, FakeRealtimeModel, IncompleteResponse, stall
from host import Cook, Host
"""


def test_an_agent_with_a_realtime_model_answers_a_caller(telephone):
    result = telephone("""
        async def test_a_table(voice_call, fake_llm):
            fake_llm.script(
                say("For what time?"), call("book", people=2), say("See you at eight then."),
            )
            heard = await voice_call.say("a table for two", at=1, lasts=1.5)
            answer = await voice_call.agent_answers("For what time?", within=0.6)
            assert answer.latency == 500
            assert answer.end - answer.start == 933
            await voice_call.say("eight o'clock")
            answer = await voice_call.agent_answers("See you at eight", within=0.6)
            await voice_call.settle()
            timeline = voice_call.timeline
            assert [tool.call for tool in timeline.tools] == ["book(people=2)"]
            assert [one.heard for one in timeline.user] == ["a table for two", "eight o'clock"]
            said = [one.text for one in timeline.agent]
            assert said == ["For what time?", "See you at eight then."]
        """)
    result.outcomes(passed=1)


def test_the_caller_interrupts_it_at_the_first_sound(telephone):
    result = telephone("""
        async def test_the_server_stops_and_is_told_what_was_heard(voice_call, fake_llm):
            fake_llm.script(say("We have a table at seven,  and one at nine."), say("Seven then."))
            await voice_call.say("a table for two", at=1)
            await voice_call.interrupt("no wait, seven is fine", after=1.0)
            cut = await voice_call.agent_stops(within=0.1)
            assert cut.end - cut.start == 1050  # with the first frame of what the caller says
            await voice_call.agent_answers("Seven then.")
            session = voice_call.session.current_agent.realtime_llm_session
            [taken_back] = session.truncations
            assert taken_back.audio_end_ms == 1050
            message = voice_call.session.history.messages()[1]
            assert message.interrupted
            told = message.text_content.strip()
            cut = voice_call.timeline.agent[0]
            assert told == taken_back.text.strip() == cut.text
            assert f"{cut.text} {cut.unsaid}" == "We have a table at seven, and one at nine."
            assert 0 < len(cut.text) < 42
            assert fake_llm.requests[1].messages[-2].text.strip() == told

        async def test_a_word_to_show_that_one_listens_stops_it_too(voice_call, fake_llm):
            fake_llm.script(say("We have a table at seven, and one at nine."), say("Yes?"))
            await voice_call.say("a table for two", at=1)
            await voice_call.backchannel("uh-huh", after=1.0)
            why = "the agent stopped for 'uh-huh': the server of its realtime model finds the turns"
            with pytest.raises(AssertionError, match=why):
                await voice_call.agent_keeps_talking()
            await voice_call.agent_answers("Yes?")

        async def test_a_response_that_still_comes_is_cut_off_where_it_is(voice_call, fake_llm):
            fake_llm.script(
                reply("one two three four", call("book", people=2)).timed(duration=8), "Sorry.",
            )
            await voice_call.say("count", at=1)
            await voice_call.interrupt("stop", after=3)
            await voice_call.agent_answers("Sorry.")
            said = [(one.text, one.unsaid) for one in voice_call.timeline.agent]
            assert said == [("one", "two"), ("Sorry.", "")]
            assert voice_call.session.history.messages()[1].text_content.strip() == "one"
            assert voice_call.timeline.tools == ()
        """)
    result.outcomes(passed=3)


def test_without_a_server_that_finds_turns_any_sound_may_stop_it(telephone):
    result = telephone("""
        @pytest.mark.lk(agent=lambda: Host(host.model(turn_detection=False), stt=None))
        async def test_it(voice_call, fake_llm):
            fake_llm.script(say("We have a table at seven, and one at nine."))
            await voice_call.say("a table for two", at=1)
            await voice_call.backchannel("uh-huh", after=1.0, lasts=0.6)
            await voice_call.agent_keeps_talking()
        """)
    result.outcomes(failed=1)
    result.shows(
        "E *: the agent stopped for 'uh-huh': min_duration is 0.5 s; "
        "turn_handling={'interruption': {'min_duration': 2}} lets it speak on"
    )


def test_what_its_server_fails_at_is_as_in_any_call(telephone):
    result = telephone("""
        async def test_a_response_fails_and_the_next_one_does_not(voice_call, fake_llm):
            fake_llm.script(fail(APIError("overloaded", retryable=True), after="One mo"), "Again?")
            await voice_call.say("a table", at=1)
            assert (await voice_call.agent_answers("One mo")).text == "One mo"
            await voice_call.say("hello?")
            await voice_call.agent_answers("Again?")
            [error] = [one for one in voice_call.timeline.moments if one.kind == "error"]
            assert error.text.startswith("APIError: overloaded")

        async def test_one_that_nobody_recovers_from(voice_call, fake_llm):
            fake_llm.script(fail(APIError("no quota", retryable=False)))
            await voice_call.say("a table", at=1)
            await voice_call.settle()

        async def test_and_that_is_expected(voice_call, fake_llm, expect_close):
            fake_llm.script(fail(APIError("no quota", retryable=False)))
            with expect_close(reason="error"):
                await voice_call.say("a table", at=1)
                await voice_call.settle()

        async def test_one_that_is_cut_short_is_its_end(voice_call, fake_llm):
            fake_llm.script(fail(IncompleteResponse(), after="Your table is"))
            await voice_call.say("a table", at=1)
            answer = await voice_call.agent_answers("Your table is")
            assert not answer.interrupted
            assert not [one for one in voice_call.timeline.moments if one.kind == "error"]

        async def test_a_connection_that_is_lost_and_back(voice_call, fake_llm):
            fake_llm.script(fail(APIConnectionError("gone"), attempts=2), "Where were we?")
            await voice_call.say("a table", at=1)
            await voice_call.agent_keeps_silent(5)
            await voice_call.say("hello?")
            await voice_call.agent_answers("Where were we?")
            assert [one.text for one in fake_llm.requests[1].messages] == ["a table", "hello?"]
            assert [one.kind for one in voice_call.timeline.moments].count("error") == 2

        async def test_one_that_is_lost_while_the_agent_speaks(voice_call, fake_llm):
            fake_llm.script(say("one two three").timed(duration=3), "Where were we?")
            await voice_call.say("count", at=1)
            await voice_call.agent_speaks()
            await voice_call.silence(1.5)
            voice_call.session.current_agent.realtime_llm_session.reconnect()
            await voice_call.say("hello?")
            await voice_call.agent_answers("Where were we?")
            assert voice_call.timeline.agent[0].text == "one two"

        async def test_one_that_does_not_come_back(voice_call, fake_llm):
            fake_llm.script(fail(APIConnectionError("gone")))
            await voice_call.say("a table", at=1)
            await voice_call.silence(10)

        async def test_one_that_is_expected_and_tells_nobody(voice_call, fake_llm, expect_error):
            fake_llm.script(fail(APIError("overloaded")))
            with expect_error(APIError):
                await voice_call.say("a table", at=1)
                await voice_call.settle()

        async def test_a_stall(voice_call, fake_llm):
            fake_llm.script(stall())
            await voice_call.say("a table", at=1)
            with pytest.raises(AssertionError, match="the agent did not answer 'a table'"):
                await voice_call.agent_answers()
        """)
    result.outcomes(passed=6, failed=3)
    result.shows(
        "the session closed on an error: APIError: no quota; if that is what the test is about, *",
        "the session closed on an error: APIConnectionError: gone; if that is what the test is *",
        "E *: expected APIError, and no such error came: after APIError: overloaded* LiveKit went "
        "on, and the user has no answer: nobody asks a realtime model again",
    )


def test_what_nobody_scripted_is_told_once(telephone):
    result = telephone("""
        async def test_an_answer(voice_call):
            await voice_call.say("a table", at=1)
            await voice_call.settle()

        async def test_a_reply_to_a_tool(voice_call, fake_llm):
            fake_llm.script(call("book", people=2))
            await voice_call.say("a table", at=1)
            await voice_call.settle()

        class Greeter(Host):
            async def on_enter(self):
                await self.session.generate_reply(instructions="Greet.")

        @pytest.mark.lk(agent=Greeter)
        async def test_a_greeting(voice_call):
            await voice_call.settle()

        async def test_a_slip(voice_call, fake_llm):
            fake_llm.script(call("bok", people=2))
            await voice_call.say("a table", at=1)
            await voice_call.settle()
        """)
    result.outcomes(failed=4)
    unscripted = "E *UnscriptedRequest: {} asked its model for a completion that nobody scripted"
    result.shows(
        unscripted.format("Host"),
        "E *request 1, last input: 'a table'",
        unscripted.format("Host"),
        "E *request 2, last input: 'booked for 2'",
        unscripted.format("Greeter"),
        "E *asked to: 'Greet.'",
        "E *the script calls bok(people=2); Host offers book, kitchen; did you mean 'book'? *",
    )
    result.shows_no("*also: *", "*failed to generate a reply*", "*RealtimeError*")


def test_a_hand_over_leads_to_a_pipeline_and_back(telephone):
    result = telephone("""
        async def test_through_the_kitchen(voice_call, fake_llm, fake_tts):
            fake_tts.voice("What shall I cook?", lasts=2)
            fake_llm.script(
                call("kitchen").by(Host), say("What shall I cook?").by(Cook),
                call("back").by(Cook), say("Good night.").by(Host),
            )
            await voice_call.say("the kitchen, please", at=1)
            asked = await voice_call.agent_answers("What shall I cook?", within=0.6)
            assert (asked.agent, asked.end - asked.start) == ("Cook", 2000)
            await voice_call.say("nothing, thank you")
            await voice_call.say("good night")
            assert (await voice_call.agent_answers("Good night.", within=0.6)).agent == "Host"
            assert fake_llm.requests[-1].instructions == "You book tables."
            heard = [one.heard for one in voice_call.timeline.user]
            assert heard == ["the kitchen, please", "nothing, thank you", "good night"]

        class Reception(Host):
            @function_tool
            async def colleague(self) -> Agent:
                return Host(theirs)

        theirs = host.model()

        @pytest.mark.lk(agent=lambda: Reception(theirs))
        async def test_agents_with_the_same_model_go_on_in_its_session(voice_call, fake_llm):
            session = voice_call.session.current_agent.realtime_llm_session
            fake_llm.script(call("colleague").by(Reception), say("Good evening.").by(Host))
            await voice_call.say("somebody else, please", at=1)
            await voice_call.say("good evening")
            assert (await voice_call.agent_answers("Good evening.")).agent == "Host"
            assert voice_call.session.current_agent.realtime_llm_session is session

        class Changes(Host):
            @function_tool
            async def lower(self) -> str:
                self.update_options(tts="cartesia/sonic-2")
                return "with a lower voice"

        @pytest.mark.lk(agent=Changes)
        async def test_another_voice_is_no_other_model(voice_call, fake_llm):
            fake_llm.script(call("lower"), say("Better?"))
            await voice_call.say("lower, please", at=1)
            await voice_call.agent_answers("Better?")
        """)
    result.outcomes(passed=3)


def test_agents_with_models_of_their_own_hand_a_caller_on(telephone):
    result = telephone("""
        class Waiter(Host):
            async def on_enter(self):
                self.session.generate_reply()

        class Reception(Host):
            @function_tool
            async def waiter(self) -> Agent:
                await asyncio.sleep(1)
                return Waiter(host.model())

        pytestmark = pytest.mark.lk(agent=Reception)
        GREETING = "I am the waiter, and what will it be?"

        async def test_the_next_one_is_interrupted_as_the_first(voice_call, fake_llm):
            first = voice_call.session.current_agent.realtime_llm_session
            fake_llm.script(
                call("waiter").by(Reception), say(GREETING).by(Waiter), say("Sure.").by(Waiter),
            )
            await voice_call.say("the waiter, please", at=1, lasts=1)
            asked = await voice_call.agent_answers(within=1.5)
            assert (asked.agent, asked.latency) == ("Waiter", 1500)
            await voice_call.interrupt("a table", after=1)
            await voice_call.agent_stops(within=0.05)
            assert (await voice_call.agent_answers("Sure.")).latency == 500
            second = voice_call.session.current_agent.realtime_llm_session
            assert first.is_closed and not second.is_closed
            assert [one.audio_end_ms for one in second.truncations] == [1050]

        async def test_words_across_the_hand_over_are_heard_in_part_by_each(voice_call, fake_llm):
            fake_llm.script(
                call("waiter").by(Reception), say(GREETING).by(Waiter), say("Sure.").by(Waiter),
            )
            await voice_call.say("the waiter, please", at=1, lasts=1)
            await voice_call.say("hello there, you all", at=3, lasts=1)
            assert (await voice_call.agent_answers("Sure.")).latency == 500
            assert voice_call.timeline.user[1].heard == "there, you all"
            assert fake_llm.requests[-1].last_input == "there, you all"
            cut = voice_call.timeline.agent[0]
            assert (cut.agent, cut.text, cut.unsaid) == ("Waiter", "", GREETING)
        """)
    result.outcomes(passed=2)


SCENARIO = """\
agent: host.py:Host
scenarios:
  - label: A table
    mode: audio
    turns:
      - user: a table for two
        at: 1s
        lasts: 1.5s
        llm: ["For what time would you like it, at seven or at nine?"]
        heard: a table for two
        within: 600ms
      - interrupt: {text: at seven, after: 1s}
        llm:
          - call: {book: {people: 2}}
          - See you at seven.
        interrupted_at: 1050ms
        expect:
          - message: {contains: For what time, interrupted: true}
          - function_call_output: {name: book, contains: booked for 2}
  - label: Nobody scripted an answer
    mode: audio
    turns:
      - user: a table for two
"""


def test_a_scenario_is_played_on_a_realtime_agent(telephone):
    result = telephone("", "scenarios.yaml", scenarios_yaml=SCENARIO)
    result.outcomes(passed=1, failed=1)
    result.shows(
        "scenarios.yaml:*: Nobody scripted an answer, turn 1: Host asked its model for a *",
        "  add it to llm: of turn 1 (scenarios.yaml:*)",
    )


IMPAIRED = """\
agent: host.py:Host
defaults: {mode: audio}
scenarios:
  - label: Frames are missing
    impairments: [packet_loss]
    turns:
      - user: a table for two, please, and be quick, would you
        heard: a table two, please, and be would you
        llm: [For what time?]
  - label: Words are wrong
    impairments: [low_quality_microphone]
    turns:
      - user: a table for two, please, and be quick, would you
        heard: a table for two, please, be quick, would you
        llm: [For what time?]
  - label: A noise cuts the agent off, and is no turn
    impairments: [background_noise]
    turns:
      - user: a table for two, please
        llm: ["For what time would you like it, at seven or at nine?"]
        expect: [{message: {matches: ^For, interrupted: true}}]
      - user: seven is fine
        heard: seven is fine
        within: 500ms
        llm: [Fine.]
        expect: [...]
"""


def test_a_realtime_model_hears_what_a_bad_line_leaves(telephone):
    result = telephone("", "impaired.yaml", impaired_yaml=IMPAIRED)
    result.outcomes(passed=3)


ENTRYPOINTS = """\
from host import Host, model
from livekit.agents import Agent, AgentSession


async def session_brings_it(ctx):
    session = AgentSession(llm=model())
    await session.start(Agent(instructions="You listen."), room=ctx.room)


async def agent_brings_it(ctx):
    await AgentSession().start(Host(), room=ctx.room)


async def name_of_one(ctx):
    session = AgentSession(llm="openai/gpt-realtime")
    await session.start(Agent(instructions="You listen."), room=ctx.room)

"""
AN_ENTRYPOINT = """\
scenarios:
  - label: A table
    mode: audio
    entrypoint: entrypoints.py:{}
    turns:
      - user: a table for two
        llm: [For what time?]
        heard: a table for two
        within: 600ms
"""


@pytest.mark.parametrize("entrypoint", ["session_brings_it", "agent_brings_it"])
def test_an_entrypoint_with_a_realtime_model_takes_a_call(telephone, entrypoint):
    made = AN_ENTRYPOINT.format(entrypoint)
    result = telephone("", "a.yaml", a_yaml=made)
    result.outcomes(passed=1)


def test_it_hears_by_itself_unless_it_is_given_something_to_hear_with(telephone):
    result = telephone("""
        session = pytest.mark.session
        vad = inference.VAD(model="silero")

        async def answer_to(voice_call, fake_llm):
            fake_llm.script("For what time?")
            await voice_call.say("a table for two", at=1)
            return await voice_call.agent_answers("For what time?")

        def plain():
            return Agent(instructions="You listen.")

        @session(llm=host.model())
        @pytest.mark.lk(agent=plain)
        async def test_a_model_of_the_sessions(voice_call, fake_llm):
            assert (await answer_to(voice_call, fake_llm)).latency == 500

        @session(turn_handling={"turn_detection": "realtime_llm"})
        async def test_the_server_is_to_detect_turns(voice_call, fake_llm):
            assert (await answer_to(voice_call, fake_llm)).latency == 500

        @session(vad=vad)
        async def test_a_vad_alone_changes_nothing(voice_call, fake_llm):
            assert (await answer_to(voice_call, fake_llm)).latency == 500

        @session(turn_handling={"turn_detection": "vad", "endpointing": {"min_delay": 0.8}})
        async def test_vad_is_to_detect_them(voice_call, fake_llm):
            assert (await answer_to(voice_call, fake_llm)).latency == 800
            assert voice_call.timeline.user[0].heard == "a table for two"

        @pytest.mark.lk(agent=lambda: Host(host.model(turn_detection=False)))
        async def test_a_server_that_detects_none(voice_call, fake_llm):
            assert (await answer_to(voice_call, fake_llm)).latency == 300

        @session(turn_handling={"turn_detection": "manual"})
        async def test_the_program_says_when(voice_call, fake_llm):
            await voice_call.say("a table for two", at=1)
            await voice_call.agent_keeps_silent(3)
            fake_llm.script("For what time?")
            voice_call.session.commit_user_turn()
            assert (await voice_call.agent_answers()).start == 5000

        detector = inference.TurnDetector(version="v1-mini")

        def detects_turns(voice_call):
            session = voice_call.session.current_agent.realtime_llm_session
            return session.capabilities.turn_detection

        @session(turn_handling={"turn_detection": detector})
        async def test_a_detector_on_audio_takes_turns_from_the_server(voice_call, fake_llm):
            assert (await answer_to(voice_call, fake_llm)).latency == 300
            assert not detects_turns(voice_call)

        @pytest.mark.lk(agent=lambda: Host(turn_detection=detector))
        async def test_so_does_one_of_the_agents(voice_call, fake_llm):
            assert (await answer_to(voice_call, fake_llm)).latency == 300
            assert not detects_turns(voice_call)

        @session(turn_handling={"turn_detection": detector}, vad=None)
        async def test_but_not_without_vad(voice_call, fake_llm):
            assert (await answer_to(voice_call, fake_llm)).latency == 500
            assert detects_turns(voice_call)

        @session(stt="deepgram/nova-3")
        async def test_recognition_beside_it_is_not_asked(voice_call, fake_llm):
            await answer_to(voice_call, fake_llm)
            assert [one.kind for one in voice_call.timeline.moments] == ["turn"]

        @pytest.mark.lk(agent=lambda: Host(host.model(user_transcription=False)))
        async def test_a_model_that_keeps_what_it_heard_to_itself(voice_call, fake_llm):
            told = []
            voice_call.session.on("user_input_transcribed", told.append)
            await answer_to(voice_call, fake_llm)
            assert (voice_call.timeline.moments, told) == ((), [])
            assert voice_call.timeline.user[0].heard == "a table for two"

        @pytest.mark.lk(agent=lambda: Host(host.model(audio_output=False)))
        async def test_a_model_that_writes_speaks_with_our_voice(voice_call, fake_llm, fake_tts):
            fake_tts.voice("For what time?", lasts=3)
            answer = await answer_to(voice_call, fake_llm)
            assert answer.end - answer.start == 3000

        slow = FakeRealtimeModel(FakeLLM(), silence=2.0)

        @pytest.mark.lk(agent=lambda: Host(slow))
        async def test_one_of_the_tests_own_goes_by_its_script(voice_call, fake_llm):
            assert (await answer_to(voice_call, fake_llm)).latency == 2000
            assert voice_call.session.current_agent.llm is slow
            assert voice_call.timeline.user[0].heard == "a table for two"
        """)
    result.outcomes(passed=13)


def test_what_cannot_be_is_told_in_a_line(telephone):
    result = telephone("""
        @pytest.mark.lk(agent=lambda: Host(host.model(audio_output=False), tts=None))
        async def test_a_model_that_writes_has_no_voice(voice_call):
            await voice_call.settle()

        async def test_the_model_has_a_voice(voice_call, fake_llm, fake_tts):
            fake_tts.voice("For what time?", lasts=3)
            fake_llm.script("For what time?")
            await voice_call.say("a table for two", at=1)
            await voice_call.agent_answers("For what time?")
        """)
    result.outcomes(failed=2)
    result.shows(
        "Host has no TTS: nobody would hear what it says in a call; *",
        "voice('For what time?') (test_it.py:*): a realtime model said that, and has a voice *",
    )


@pytest.mark.skipif(not hasattr(llm, "DuplexModel"), reason="LiveKit has names for them since 1.8")
def test_a_name_is_taken_for_the_model_that_livekit_takes_it_for(telephone):
    result = telephone("""
        def named(name):
            return lambda: Agent(instructions="You listen.", llm=name)

        async def answered(voice_call, fake_llm):
            fake_llm.script("For what time?")
            await voice_call.say("a table for two", at=1)
            assert (await voice_call.agent_answers()).latency == 500

        @pytest.mark.lk(agent=named("openai/gpt-realtime"))
        async def test_the_agents(voice_call, fake_llm):
            await answered(voice_call, fake_llm)

        @pytest.mark.session(llm="openai/gpt-realtime")
        @pytest.mark.lk(agent=lambda: Agent(instructions="You listen."))
        async def test_the_sessions(voice_call, fake_llm):
            await answered(voice_call, fake_llm)

        @pytest.mark.lk(entrypoint=entrypoints.name_of_one)
        async def test_an_entrypoints(voice_call, fake_llm):
            await answered(voice_call, fake_llm)

        @pytest.mark.lk(agent=named("openai/gpt-live-1"))
        async def test_a_duplex_model_of_the_agents(voice_call):
            await voice_call.settle()

        @pytest.mark.session(llm="openai/gpt-live-1")
        async def test_a_duplex_model_of_the_sessions(voice_call):
            await voice_call.settle()

        class Reception(Host):
            @function_tool
            async def colleague(self) -> Agent:
                return named("openai/gpt-live-1")()

        @pytest.mark.lk(agent=Reception)
        async def test_a_duplex_model_of_the_next_agents(voice_call, fake_llm):
            fake_llm.script(call("colleague"))
            await voice_call.say("somebody else, please", at=1)
            await voice_call.settle()

        @pytest.mark.lk(agent=Reception, allow=["background_error"])
        async def test_which_nothing_lets_pass(voice_call, fake_llm):
            fake_llm.script(call("colleague"))
            await voice_call.say("somebody else, please", at=1)
            await voice_call.settle()

        @pytest.mark.lk(agent=named("openai/gpt-live-1"))
        async def test_in_text_it_is_as_any(user_says, fake_llm):
            fake_llm.script("Yes.")
            assert (await user_says("hi")).events[-1].text == "Yes."
        """)
    result.outcomes(passed=4, failed=3, errors=1)
    told = (
        "a DuplexModel listens while it speaks, which no scripted model does: test the agent in *"
    )
    result.shows(told, told)
    where = "raised in the task AgentSession._update_activity_task, where nobody hears of it"
    result.shows("_* test_a_duplex_model_of_the_next_agents _*", told, where)
    result.shows("_* test_which_nothing_lets_pass _*", told, where)


def test_a_realtime_model_has_a_voice_of_its_own_in_the_words_of_test_and_file(telephone):
    scenario = """
        agent: host.py:Host
        scenarios:
          - label: A voice
            mode: audio
            voices: {Hello.: 2s}
            turns: [{user: hi, llm: [Hello.]}]
        """
    test = """
        async def test_it(voice_call, fake_llm, fake_tts):
            fake_tts.voice("Hello.", lasts=2)
            fake_llm.script("Hello.")
            await voice_call.say("hi")
            await voice_call.agent_answers()
        """
    result = telephone(test, "test_it.py", "voices.yaml", voices_yaml=dedent(scenario))
    result.outcomes(failed=2)
    told = "a realtime model said that, and has a voice of its own; give its step a duration: "
    result.shows(f"*voice('Hello.') (test_it.py:*): {told}say('…').timed(duration=2)")
    result.shows(
        f"*: A voice: the voice of 'Hello.' (voices.yaml:5): {told}{{say: …, duration: 2s}}"
    )

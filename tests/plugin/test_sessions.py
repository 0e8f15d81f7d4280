"""Sessions that a test starts itself, and what else the fixtures give it."""

from __future__ import annotations


def test_one_test_may_hold_several_sessions(desk):
    result = desk(
        {
            "test_sessions.py": """
            from pytest_lkagent import FakeLLM

            async def test_three(agent_session, user_says, start_session, fake_llm):
                fake_llm.script(say("One."), say("Two."))
                await user_says("hi")
                second = await start_session(userdata={"number": 2}, max_tool_steps=9)
                await second.run(user_input="hi")
                own = FakeLLM()
                own.script(say("Three, at the start."), say("Three."))
                third = await start_session(Greeter, llm=own, start=[])
                await third.run(user_input="hi")
                said = [s.history.items[-1].text_content for s in (agent_session, second, third)]
                assert said == ["One.", "Two.", "Three."]
                assert second.userdata == {"number": 2}
                assert second.options.max_tool_steps == 9
                assert len({id(s) for s in (agent_session, second, third)}) == 3
                assert (len(fake_llm.requests), len(own.requests)) == (2, 2)
            """
        }
    ).run()
    result.outcomes(passed=1)


def test_an_async_fixture_starts_one_after_the_session_under_test(desk):
    result = desk(
        {
            "test_sessions.py": """
            import pytest_asyncio

            @pytest_asyncio.fixture
            async def early(start_session):
                return await start_session()

            @pytest_asyncio.fixture
            async def second(agent_session, start_session):
                return await start_session()

            async def test_none_but_that(early, fake_llm):
                fake_llm.script(say("Early."))
                assert (await early.run(user_input="hi")).events[0].item.text_content == "Early."

            async def test_before(early, user_says):
                raise AssertionError("unreachable")

            async def test_after(second, user_says, fake_llm):
                fake_llm.script(say("One."), say("Two."))
                assert (await user_says("hi")).events[-1].text == "One."
                await second.run(user_input="hi")
            """
        }
    ).run()
    result.outcomes(passed=2, errors=1)
    result.shows(
        "E *UsageError: start_session(): the test has a session under test as well, which starts "
        "first, and has not yet; let the fixture that calls this take agent_session",
        "ERROR test_sessions.py::test_before - *",
    )


def test_an_agent_that_was_used_is_refused_at_the_line_that_starts_it_again(desk):
    result = desk(
        {
            "test_used.py": """
            desk = FrontDesk()

            async def test_twice(start_session):
                once = FrontDesk()
                await start_session(once)
                await start_session(once)

            @pytest.mark.lk(agent=desk)
            class TestModule:
                async def test_first(self, user_says):
                    pass

                async def test_again(self, user_says):
                    raise AssertionError("unreachable")
            """
        }
    ).run()
    result.outcomes(passed=1, failed=1, errors=1)
    result.shows(
        "the agent under test: this FrontDesk was used by a session before, and keeps what was "
        "said there; give the class or a factory, so that each session gets its own",
        "> * await start_session(once)",
        "E *UsageError: start_session(): this FrontDesk was used by a session before, *",
        "test_used.py:*: UsageError",
        "FAILED test_used.py::test_twice - *",
        "ERROR test_used.py::TestModule::test_again - *",
    )


def test_each_example_of_hypothesis_has_a_session_of_its_own(desk):
    result = desk(
        {
            "test_property.py": """
            from hypothesis import HealthCheck, given, settings, strategies as st

            seen = []

            @given(text=st.sampled_from(["hi", "hello", "hey"]))
            @settings(
                deadline=None,
                database=None,
                # start_session is a factory: each example gets a session of its own
                suppress_health_check=[HealthCheck.function_scoped_fixture],
            )
            async def test_answers(start_session, fake_llm, text):
                session = await start_session()
                assert session not in seen
                seen.append(session)
                fake_llm.script(say(text.upper()))
                await session.run(user_input=text)
                items = session.history.items
                said = [item.text_content for item in items if item.type == "message"]
                assert said == [text, text.upper()]

            def test_all_ran():
                assert len(seen) >= 3
            """
        }
    ).run()
    result.outcomes(passed=2)


def test_an_agent_task_may_be_the_root_of_a_session(desk):
    result = desk(
        {
            "test_task.py": """
            from livekit.agents import AgentTask, function_tool

            class AskName(AgentTask[str]):
                def __init__(self):
                    super().__init__(instructions="Ask for the name.")

                async def on_enter(self):
                    self.session.generate_reply(instructions="Ask.")

                @function_tool
                async def note(self, name: str):
                    "Note the name."
                    self.complete(name)

            async def test_it(start_session, fake_llm):
                session = await start_session(AskName, start=[say("Your name?")])
                task = session.current_agent
                fake_llm.script(call("note", name="Ada"))
                await session.run(user_input="Ada")
                assert task.done()

            async def test_what_it_did_not_finish_is_no_matter(start_session):
                session = await start_session(AskName, start=[say("Your name?")])
                assert not session.current_agent.done()
            """
        }
    ).run()
    result.outcomes(passed=2)


def test_a_session_may_begin_in_the_middle_of_a_conversation(desk):
    result = desk(
        {
            "test_history.py": """
            from livekit.agents import ChatContext
            from pytest_lkagent import FunctionCall, FunctionCallOutput

            async def test_events(start_session, fake_llm):
                session = await start_session(history=[
                    Message(role="user", text="2pm"),
                    FunctionCall(name="book", arguments={"slot": "2pm"}, call_id="c1"),
                    FunctionCallOutput(name="book", output="booked", call_id="c1"),
                    Message(role="assistant", text="Booked."),
                ])
                fake_llm.script(say("At 2 pm."))
                await session.run(user_input="when?")
                asked = [m.text for m in fake_llm.requests[0].messages if isinstance(m, Message)]
                assert asked[-3:] == ["2pm", "Booked.", "when?"]

            async def test_a_chat_context(start_session, fake_llm):
                history = ChatContext.empty()
                history.add_message(role="user", content="I am Ada.")
                session = await start_session(history=history)
                fake_llm.script(say("Ada."))
                await session.run(user_input="who am I?")
                asked = [m.text for m in fake_llm.requests[0].messages if isinstance(m, Message)]
                assert asked[-2:] == ["I am Ada.", "who am I?"]

            async def test_neither(start_session):
                await start_session(history=["hello"])
            """
        }
    ).run()
    result.outcomes(passed=2, failed=1)
    result.shows(
        "*history takes a ChatContext, or messages, function calls and their outputs, not 'hello'",
        "FAILED test_history.py::test_neither - *",
    )


def test_the_job_context_is_there_inside_tools_and_in_the_test(desk):
    result = desk(
        {
            "test_job.py": """
            from livekit.agents import function_tool

            class Tagger(Agent):
                def __init__(self):
                    super().__init__(instructions="Tag.")

                @function_tool
                async def tag(self) -> str:
                    "Tag the call."
                    return get_job_context().job.id

            @pytest.mark.lk(agent=Tagger)
            @pytest.mark.parametrize("scope", [1, 2])
            async def test_in_a_tool(user_says, fake_llm, job_context, scope):
                fake_llm.script(call("tag"), say("Tagged."))
                turn = await user_says("tag me")
                assert turn.events[2].output == job_context.job.id
                assert get_job_context() is job_context

            async def test_without_a_session(job_context):
                assert get_job_context() is job_context

            def test_in_a_plain_function(job_context):
                assert get_job_context() is job_context

            def test_of_somebody_else():
                with pytest.raises(RuntimeError, match="no job context"):
                    get_job_context()
            """
        }
    ).run()
    result.outcomes(passed=5)


def test_the_transcript_holds_the_conversation_as_plain_values(desk):
    result = desk(
        {
            "test_transcript.py": """
            from pytest_lkagent import AgentHandoff, FunctionCall, FunctionCallOutput

            async def test_it(user_says, fake_llm, transcript, scenario):
                assert list(transcript) == [AgentHandoff(old=None, new="FrontDesk")]
                fake_llm.script(
                    call("book", slot="2pm").with_id("call_1"),
                    say("Booked.").timed(ttft=2, duration=3),
                )
                turn = await user_says("2pm please")
                assert turn is transcript.turns[0]
                assert turn.user == "2pm please"
                assert turn.error is None
                assert turn.took == 3.0
                assert turn.events == (
                    Message(role="user", text="2pm please"),
                    FunctionCall(name="book", arguments={"slot": "2pm"}, call_id="call_1"),
                    FunctionCallOutput(name="book", output="booked 2pm", call_id="call_1"),
                    Message(role="assistant", text="Booked.", agent="FrontDesk"),
                )
                turn.expect.next_event().is_function_call(name="book", arguments={"slot": "2pm"})
                turn.expect.next_event().is_function_call_output(output="booked 2pm")
                turn.expect.next_event().is_message(role="assistant")
                turn.expect.no_more_events()
                *_, last = str(transcript).splitlines()
                assert last.split(maxsplit=2) == ["[4]", "assistant", "Booked."]
                assert scenario is None
            """
        }
    ).run()
    result.outcomes(passed=1)


def test_what_a_failing_assertion_shows_of_turns_and_requests_fits_on_a_line(desk):
    result = desk(
        {
            "test_it.py": """
            async def said(user_says, fake_llm):
                fake_llm.script(call("book", slot="2pm"), say("Booked."))
                return await user_says("2 pm, please, or at any other time of the day")

            async def test_turn(user_says, fake_llm):
                assert (await said(user_says, fake_llm)).took == 1

            async def test_request(user_says, fake_llm):
                await said(user_says, fake_llm)
                assert fake_llm.requests[1].response_format

            async def test_start(user_says, fake_llm, transcript):
                await said(user_says, fake_llm)
                assert not transcript.start.events

            async def test_error(user_says, fake_llm, expect_error):
                fake_llm.script(fail(APIConnectionError("down"), attempts=9))
                with expect_error(APIConnectionError):
                    turn = await user_says("hi")
                assert turn.error is None

            async def test_printed(user_says, fake_llm):
                print(await said(user_says, fake_llm))
                assert False
            """
        }
    ).run()
    result.outcomes(failed=5)
    result.shows(
        "E * where 0.0 = <Turn '2 pm, please...me of the day': 4 events>.took",
        "E * where None = <Request 2, by FrontDesk: last input 'booked 2pm', tools ['book']>"
        ".response_format",
        "transcript = <Transcript: 1 turn, 5 events>",
        "E * where * = <Turn: 1 event>.events",
        "E * = <Turn 'hi': 1 event, APIConnectionError>.error",
        "[1] function_call          book(slot='2pm')",
        "[3] assistant              Booked.",
    )


def test_the_transcript_has_what_was_said_by_the_time_that_one_looks(desk):
    result = desk(
        {
            "test_look.py": """
            class Reminding(FrontDesk):
                async def on_enter(self):
                    self.session.on("agent_state_changed", self.look)

                def look(self, event):
                    if event.old_state == "speaking" and not hasattr(self, "task"):
                        self.task = asyncio.ensure_future(self.remind())

                async def remind(self):
                    await asyncio.sleep(60)
                    await self.session.say("It is time.")

            async def test_a_timer_of_the_agent(user_says, fake_llm, transcript, agent_session):
                fake_llm.script(say("I will."))
                turn = await user_says("remind me")
                turn.expect.next_event().is_message(role="assistant")
                turn.expect.no_more_events()
                await asyncio.sleep(3600)
                assert "It is time." in str(transcript)
                assert turn is transcript.turns[0]
                assert transcript.turns[0].events[-1].text == "It is time."
                turn.expect.next_event().is_message(role="assistant")  # it goes on where it was
                turn.expect.no_more_events()
                await agent_session.aclose()
                assert transcript.events[-1].reason == "user_initiated"

            test_a_timer_of_the_agent.pytestmark = [pytest.mark.lk(agent=Reminding)]

            async def test_a_run_of_the_session(agent_session, fake_llm, transcript):
                fake_llm.script(say("Hello."))
                await agent_session.run(user_input="hi")
                assert [event.text for event in transcript if event.type == "message"] == [
                    "hi", "Hello."
                ]

            async def test_what_code_lets_it_say(agent_session, transcript):
                await agent_session.say("One.")
                assert transcript.start.events[-1].text == "One."
                await agent_session.say("Two.")
                assert transcript.start.events[-1].text == "Two."

            async def test_what_comes_later_belongs_to_the_last_turn(
                agent_session, user_says, fake_llm, transcript
            ):
                fake_llm.script(say("Hello."), say("Bye."))
                first, last = await user_says("hi"), await user_says("bye")
                await agent_session.say("Call again.")
                assert [event.text for event in first.events] == ["hi", "Hello."]
                assert [event.text for event in last.events] == ["bye", "Bye.", "Call again."]
                assert transcript.turns == [first, last]
            """
        }
    ).run()
    result.outcomes(passed=4)


def test_settle_waits_for_what_a_run_of_livekit_leaves_open(desk):
    result = desk(
        {
            "test_settle.py": """
            from livekit.agents import RunContext, function_tool

            class Slow(Agent):
                def __init__(self):
                    super().__init__(instructions="Search.")

                @function_tool
                async def search(self, ctx: RunContext) -> str:
                    "Search for long."
                    await ctx.update("I am searching")
                    await asyncio.sleep(3600)
                    return "found"

            @pytest.mark.lk(agent=Slow, timeout=7200)
            async def test_it(agent_session, fake_llm, settle, transcript):
                fake_llm.script(call("search"), say("One moment."), say("Found it."))
                await agent_session.run(user_input="search")
                assert fake_llm.remaining
                await settle()
                assert transcript.events[-1].text == "Found it."
            """
        }
    ).run()
    result.outcomes(passed=1)


def test_an_example_of_hypothesis_that_fails_shows_the_test_and_the_values(desk):
    result = desk(
        {
            "test_property.py": """
            from hypothesis import HealthCheck, given, settings, strategies as st

            @given(text=st.sampled_from(["hi", "hello"]))
            @settings(
                database=None,
                deadline=None,
                derandomize=True,
                suppress_health_check=[HealthCheck.function_scoped_fixture],
            )
            async def test_answers(start_session, fake_llm, text):
                fake_llm.script(say("hi"))
                result = await (await start_session()).run(user_input=text)
                assert result.events[-1].item.text_content == text
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("> * assert result.events[-1].item.text_content == text", "E * text='hello',*")


def test_a_user_who_was_away_is_back_with_what_they_say(desk):
    result = desk(
        {
            "test_it.py": """
            class Caring(FrontDesk):
                async def on_enter(self):
                    self.session.on("user_state_changed", self.look)

                def look(self, event):
                    if event.new_state == "away":
                        self.session.say("Are you still there?")

            @pytest.fixture
            def session_options():
                return {"user_away_timeout": 10}

            @pytest.mark.lk(agent=Caring)
            async def test_it(user_says, fake_llm, agent_session, transcript, settle):
                await asyncio.sleep(12)
                assert agent_session.user_state == "away"
                fake_llm.script(say("Good."))
                await user_says("yes")
                assert agent_session.user_state == "listening"
                await asyncio.sleep(12)
                await settle()
                said = [event.text for event in transcript.events if event.label == "assistant"]
                assert said == ["Are you still there?", "Good.", "Are you still there?"]
            """
        }
    ).run()
    result.outcomes(passed=1)


def test_a_model_of_the_users_is_replaced_by_the_scripted_one_in_each_session(desk):
    result = desk(
        {
            "test_it.py": """
            from livekit.plugins import openai

            @pytest.mark.parametrize("model", ["openai/gpt-4o", openai.LLM(api_key="none")])
            async def test_it(start_session, fake_llm, model):
                session = await start_session(llm=model)
                fake_llm.script(say("Hi."))
                result = await session.run(user_input="hello")
                assert result.events[-1].item.text_content == "Hi."
            """
        }
    ).run()
    result.outcomes(passed=2)


def test_a_text_for_the_start_that_nobody_asked_for_is_told_with_its_line(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(start_session):
                await start_session(start=["Hello."])
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("*while the session started: say('Hello.') (test_it.py:10)")


def test_what_a_session_is_told_by_names_that_are_deprecated_holds_as_in_livekit(desk):
    result = desk(
        {
            "test_it.py": """
            @pytest.fixture
            def session_options():
                return {
                    "allow_interruptions": False, "min_interruption_words": 3,
                    "min_endpointing_delay": 2.0, "preemptive_generation": False,
                }

            async def test_in_text(agent_session):
                handling = agent_session.options.turn_handling
                assert handling["endpointing"]["min_delay"] == 2.0
                assert not handling["interruption"]["enabled"]
                assert handling["interruption"]["min_words"] == 3
                assert not handling["preemptive_generation"]["enabled"]

            async def test_in_a_call(voice_call, fake_llm):
                fake_llm.script(say("At two o'clock."))
                await voice_call.say("a table")
                assert (await voice_call.agent_answers()).latency == 2000
            """
        }
    ).run()
    result.outcomes(passed=2)

"""A call may be long: twice as much of it is twice the work, of our own code at least."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_twice_the_turns_are_twice_the_calls_of_our_own_functions(calls):
    result = calls(
        """
        import cProfile
        from pathlib import Path

        import pytest_lkagent

        OURS = Path(pytest_lkagent.__file__).parent
        COUNTS = {}

        def own_calls(profile):
            codes = ((entry.code, entry.callcount) for entry in profile.getstats())
            return sum(
                count for code, count in codes
                if not isinstance(code, str) and OURS in Path(code.co_filename).parents
            )

        @pytest.mark.parametrize("turns", [2, 12, 22, 32])
        @pytest.mark.lk(timeout=600)
        async def test_turns(voice_call, fake_llm, turns):
            with cProfile.Profile() as profile:
                for turn in range(turns):
                    fake_llm.script(call("book", slot="2pm"), say("There is a slot at two."))
                    # what LiveKit asks for after the first part, it throws away after the second
                    await voice_call.say("tomorrow,", at=20 * turn + 1, lasts=0.5, end_of_turn=0.1)
                    await voice_call.say("please", at=20 * turn + 3, lasts=0.5)
                    await voice_call.agent_answers()
                    await voice_call.backchannel("", after=0.3, lasts=0.2)
                    await voice_call.agent_keeps_talking()
                    fake_llm.script(say("As you like."), say("I hear you."))
                    await voice_call.say("thank you", at=20 * turn + 10, lasts=0.5)
                    await voice_call.interrupt("stop", after=0.2, lasts=0.6)
                    await voice_call.agent_stops()
                    await voice_call.agent_answers("I hear")
                await voice_call.settle()
            COUNTS[turns] = own_calls(profile)

        def test_growth():
            first, second, third = (
                COUNTS[more] - COUNTS[less] for less, more in ((2, 12), (12, 22), (22, 32))
            )
            print(f"{first} {second} {third}")
            assert first == pytest.approx(second, rel=0.005) == pytest.approx(third, rel=0.005)
        """
    )
    result.outcomes(passed=5)

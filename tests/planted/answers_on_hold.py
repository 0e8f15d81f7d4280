"""Answers although it should wait: a StopResponse was forgotten.

The tool ends without words, and the model is asked for some all the same.

Breaks an invariant of its own: who is put on hold hears nothing before he speaks again.
"""

from itertools import takewhile

from livekit.agents import Agent, StopResponse, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You wait while the caller looks for his card.")

    async def llm_node(self, chat_ctx, tools, model_settings):
        answered = list(takewhile(lambda item: "output" in item.type, reversed(chat_ctx.items)))
        if answered and all(one.name == "hold" and not one.is_error for one in answered):
            self.session.userdata["asked_on_hold"] += 1
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk

    def _wait(self) -> str:
        return ""

    @function_tool
    async def hold(self) -> str:
        """Wait until the caller speaks again."""
        return self._wait()


class Repaired(Faulty):
    def _wait(self) -> str:
        raise StopResponse


def invariant(userdata: dict) -> None:
    assert not userdata["asked_on_hold"], "on hold, the model was asked what to say"

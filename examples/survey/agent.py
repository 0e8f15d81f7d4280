"""A survey by phone: asks for consent, then two questions, and hangs up."""

from dataclasses import dataclass

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    AgentTask,
    JobContext,
    ToolError,
    cli,
    function_tool,
    llm,
)
from livekit.agents.beta.workflows import TaskGroup


@dataclass
class Answers:
    """What the survey has found out."""

    consent: bool | None = None
    score: int | None = None
    comment: str | None = None
    mood: str | None = None


class AskConsent(AgentTask[bool]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask whether the caller may be asked two questions.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Ask for consent.")

    @function_tool
    async def consents(self, yes: bool) -> None:
        """Note whether the caller consents."""
        if self.done():  # a model may call it twice in one breath
            return
        self.session.userdata.consent = yes
        self.complete(yes)


class AskScore(AgentTask[int]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask how likely the caller is to recommend us, 0 to 10.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Ask for the score.")

    @function_tool
    async def give_score(self, score: int) -> None:
        """Note the score."""
        if not 0 <= score <= 10:
            raise ToolError("the score is a number from 0 to 10")
        if self.done():
            return
        self.session.userdata.score = score
        self.complete(score)


class AskComment(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask what we could do better, then say goodbye.")
        self._is_noted = False

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Ask for a comment.")

    @function_tool
    async def give_comment(self, comment: str) -> None:
        """Note the comment. This ends the call."""
        if self._is_noted:
            return
        self._is_noted = True
        mood = await self._mood_of(comment)
        if self.done():  # meanwhile the caller went back to another question
            return
        answers = self.session.userdata
        answers.comment, answers.mood = comment, mood
        goodbye = self.session.say("Thank you, goodbye!")
        goodbye.add_done_callback(lambda _: self._hang_up(comment))

    def _hang_up(self, comment: str) -> None:
        if not self.done():
            self.complete(comment)
        self.session.shutdown()

    async def _mood_of(self, comment: str) -> str:
        """Let the model say in one word how a comment sounds."""
        context = llm.ChatContext.empty()
        context.add_message(role="system", content="Answer in one word: glad, neutral or angry?")
        context.add_message(role="user", content=comment)
        model = self.session.llm
        assert isinstance(model, llm.LLM)
        response = await model.chat(chat_ctx=context).collect()
        return response.text


class Surveyor(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You run a survey.", llm="openai/gpt-4.1-mini")

    async def on_enter(self) -> None:
        if not await AskConsent():
            await self.session.say("I will not keep you, then. Goodbye!")
            self.session.shutdown()
            return
        survey = TaskGroup(summarize_chat_ctx=False)
        survey.add(AskScore, id="score", description="Asks for a score from 0 to 10.")
        survey.add(AskComment, id="comment", description="Asks for a comment, and hangs up.")
        await survey


server = AgentServer()


@server.rtc_session()
async def survey(ctx: JobContext) -> None:
    session = AgentSession[Answers](
        userdata=Answers(),
        stt="deepgram/nova-3",
        llm="openai/gpt-4.1-mini",
        tts="cartesia/sonic-2",
    )
    await session.start(Surveyor(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)

"""Histories that a session may begin with: each is one that every provider accepts."""

from __future__ import annotations

import json
import logging

import pytest
from drawing import drawn_from, simplest
from livekit.agents import Agent, function_tool, llm

from pytest_lkagent.fuzz import chat_contexts


class Desk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book.")

    @function_tool
    async def book(self, slot: str) -> str: ...


@pytest.fixture(scope="module")
def drawn():
    return drawn_from(chat_contexts(Desk), 300)


def test_every_call_has_its_output_after_it_and_every_output_its_call(drawn):
    for context in drawn:
        called = [item.call_id for item in context.items if item.type == "function_call"]
        given_back = [item.call_id for item in context.items if item.type == "function_call_output"]
        assert called == given_back
        assert len(called) == len({*called})
        open_calls = set()
        for item in context.items:
            if item.type == "function_call":
                open_calls.add(item.call_id)
            elif item.type == "function_call_output":
                open_calls.remove(item.call_id)
            else:
                assert not open_calls


def test_openai_is_told_all_of_it_and_livekit_has_nothing_to_drop(drawn, caplog):
    with caplog.at_level(logging.WARNING):
        for context in drawn:
            messages, _ = context.to_provider_format("openai")
            told = [made for one in messages for made in one.get("tool_calls") or ()]
            assert len(told) == sum(item.type == "function_call" for item in context.items)
            assert sum(one["role"] == "tool" for one in messages) == len(told)
    assert caplog.messages == []


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_other_providers_are_told_it_too(drawn, provider):
    for context in drawn:
        messages, _ = context.to_provider_format(provider)
        assert bool(messages) or not [item for item in context.items if item.role != "system"]


def roles(context):
    return [item.role for item in context.items if item.type == "message"]


def test_conversations_of_all_kinds_are_drawn(drawn):
    assert any(roles(context)[:1] == ["system"] for context in drawn)
    assert any(roles(context)[-1:] == ["user"] for context in drawn)
    assert any(roles(context)[-1:] == ["assistant"] for context in drawn)
    assert any(item.interrupted for one in drawn for item in one.items if item.type == "message")
    outputs = [item for one in drawn for item in one.items if item.type == "function_call_output"]
    assert {item.is_error for item in outputs} == {True, False}
    calls = [[item.type for item in one.items].count("function_call") for one in drawn]
    assert max(calls) > 2


def test_calls_are_those_of_the_agents_tools_or_of_invented_ones(drawn):
    [(name, arguments)] = {
        (item.name, tuple(json.loads(item.arguments)))
        for one in drawn
        for item in one.items
        if item.type == "function_call"
    }
    assert (name, arguments) == ("book", ("slot",))
    invented = {
        item.name
        for one in drawn_from(chat_contexts(), 100)
        for item in one.items
        if item.type == "function_call"
    }
    assert invented == {"search"}


def test_an_agent_without_tools_has_called_none():
    for context in drawn_from(chat_contexts([]), 60):
        assert all(item.type == "message" for item in context.items)


def test_ids_and_times_are_the_same_each_time(drawn):
    for context in drawn:
        assert [item.id for item in context.items] == [
            f"item_{n}" for n in range(len(context.items))
        ]
        assert [item.created_at for item in context.items] == [
            *map(float, range(len(context.items)))
        ]


def test_histories_shrink_to_the_empty_one_and_to_the_least_that_has_a_call():
    assert simplest(chat_contexts(Desk)).items == []
    called = simplest(chat_contexts(Desk), lambda context: "function_call" in kinds(context))
    user, call, output, answer = [shown(item) for item in called.items]
    assert (user, call, answer) == ("user: hi", 'book({"slot": ""})', "assistant: a")
    assert output in ("-> ", "-> a")  # which of these is the simpler one is hypothesis' affair


def kinds(context):
    return [item.type for item in context.items]


def shown(item: llm.ChatItem) -> str:
    match item:
        case llm.ChatMessage():
            return f"{item.role}: {item.text_content}"
        case llm.FunctionCall():
            return f"{item.name}({item.arguments})"
        case llm.FunctionCallOutput():
            return f"-> {item.output}"
    raise AssertionError(item)

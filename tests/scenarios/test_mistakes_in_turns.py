"""Mistakes in a turn: what was written, and the one line that a user reads about it."""

from __future__ import annotations

import pytest

TURN_KEYS = (
    "user, wait, llm, expect, expect_error, after, check, capture, within, snapshot, interrupt, "
    "settle, backchannel, silence, dtmf, hang_up, at, lasts, heard, interrupted_at"
)
STEPS = "write one of say, call, raw_call, fail, silence, stall"
TURN = [
    ("{}", "1: a turn without input; write user: and what is said, or wait: 30s"),
    ("hi", f"1: a turn cannot be 'hi'; write a mapping with some of {TURN_KEYS}"),
    ("{user: a, wait: 1}", "1: a turn cannot have user and wait together; keep one"),
    ("{wait: 2, interrupt: 1}", "1: a turn cannot have wait and interrupt together; keep one"),
    ("{user: }", "8: user cannot be nothing; write a text, in quotes if need be"),
    ("{user: null}", "8: user cannot be nothing; write a text, in quotes if need be"),
    (
        "{user: [a]}",
        (
            "8: user cannot be a list; write a mapping with some of text, modality, "
            "heard, confidence, language, delay, interim, preflight, final, end_of_turn, fail"
        ),
    ),
    ("{user: {modality: audio}}", "8: user says nothing; write text: and what is said"),
    ("{user: {text: a, modality: adio}}", "28: unknown modality 'adio'; did you mean 'audio'?"),
    ("{user: {text: a, modality: x}}", "28: unknown modality 'x'; there are text, audio"),
    ("{user: a, settle: no}", "19: settle cannot be 'no'; write true or false"),
    (
        "{user: a, capture: {x: ''}}",
        "24: capture x cannot be ''; write a regular expression that does not fit every text",
    ),
    ("{user: a, settle: ''}", "19: settle cannot be ''; write true or false"),
    ("{user: a, settle: []}", "19: settle cannot be a list; write true or false"),
    ("{user: 'a ${x}'}", "8: '${x}' was captured by no earlier turn; captured before: none"),
    ("{user: 'a ${x'}", "8: '${x' names no capture; write ${name}"),
    ("{user: 'a ${1}'}", "8: '${1}' names no capture; write ${name}"),
    (
        "{user: '${x}', capture: {x: y}}",
        ("8: '${x}' was captured by no earlier turn; captured before: none"),
    ),
    (
        "{user: a, capture: {booking: x}, llm: ['${boking}']}",
        ("40: '${boking}' was captured by no earlier turn; did you mean 'booking'?"),
    ),
    (
        "{user: a, capture: {a-b: x}}",
        ("21: the name of a capture cannot be 'a-b'; write a name of letters, digits and _"),
    ),
    (
        "{user: a, capture: {a: '('}}",
        (
            "24: capture a is no regular expression: missing ), unterminated "
            "subpattern at position 0; write \\ before a sign"
        ),
    ),
    ("{user: a, capture: x}", "20: capture cannot be 'x'; write names and regular expressions"),
    ("{user: a, llm: hi}", "16: llm cannot be 'hi'; write a list of what the model answers"),
    (
        "{user: a, llm: [~]}",
        ("17: what the model says cannot be nothing; write a text, in quotes if need be"),
    ),
    (
        "{user: a, llm: [[x]]}",
        (
            "17: an llm step cannot be a list; write a mapping with some of say, "
            "call, raw_call, fail, silence, stall, ttft, duration, by, chunks, ids"
        ),
    ),
    ("{user: a, llm: [{by: Desk}]}", f"17: an llm step does nothing; {STEPS}"),
    (
        "{user: a, llm: [{silence: true, Sorry: it is taken}]}",
        (
            "33: unknown key 'Sorry' in an llm step; the keys of an llm step: say, call, raw_call, "
            "fail, silence, stall, ttft, duration, by, chunks, ids"
        ),
    ),
    (
        "{user: a, llm: [{say: x, stall: true}]}",
        ("17: an llm step cannot have say and stall together; keep one"),
    ),
    (
        "{user: a, llm: [{stall: false}]}",
        ("25: stall cannot be 'false'; write stall: true, or leave it out"),
    ),
    ("{user: a, llm: [{call: book}]}", "24: call cannot be 'book'; write call: {book: {}}"),
    (
        "{user: a, llm: [{call: }]}",
        ("24: call cannot be nothing; write a mapping of a tool to its arguments"),
    ),
    (
        "{user: a, llm: [{call: {}}]}",
        "24: call names no tool; write call: {tool: {argument: value}}",
    ),
    (
        "{user: a, llm: [{call: []}]}",
        "24: call names no tool; write call: {tool: {argument: value}}",
    ),
    (
        "{user: a, llm: [{call: [{book: }, cancel]}]}",
        ("35: call cannot be 'cancel'; write a mapping of a tool to its arguments"),
    ),
    (
        "{user: a, llm: [{call: [{book: }, {book: 2pm}]}]}",
        ("42: the arguments of book cannot be '2pm'; write a mapping"),
    ),
    (
        "{user: a, llm: [{raw_call: {}}]}",
        "28: raw_call names no tool; write raw_call: {tool: text}",
    ),
    (
        "{user: a, llm: [{raw_call: [{book: x}, [y]]}]}",
        ("40: raw_call cannot be a list; write a mapping of a tool to the text of its arguments"),
    ),
    (
        "{user: a, llm: [{call: {book: 2pm}}]}",
        ("31: the arguments of book cannot be '2pm'; write a mapping"),
    ),
    (
        "{user: a, llm: [{call: {book: {x: '${y}'}}}]}",
        ("35: '${y}' was captured by no earlier turn; captured before: none"),
    ),
    (
        "{user: a, llm: [{raw_call: x}]}",
        ("28: raw_call cannot be 'x'; write a mapping of a tool to the text of its arguments"),
    ),
    (
        "{user: a, llm: [{fail: {}}]}",
        ("24: fail does not say how; write one of status, timeout, connection, type"),
    ),
    (
        "{user: a, llm: [{fail: {status: x}}]}",
        ("33: status cannot be 'x'; write a whole number from 1 on"),
    ),
    (
        "{user: a, llm: [{fail: {status: 0}}]}",
        ("33: status cannot be '0'; write a whole number from 1 on"),
    ),
    (
        "{user: a, llm: [{fail: {status: []}}]}",
        ("33: status cannot be a list; write a whole number from 1 on"),
    ),
    (
        "{user: a, llm: [{fail: {status: 1, timeout: true}}]}",
        ("24: fail cannot have status and timeout together; keep one"),
    ),
    (
        "{user: a, expect: x}",
        ("19: expect cannot be 'x'; write a list of events, or [] where nothing else may happen"),
    ),
    (
        "{user: a, expect: [{mesage: x}]}",
        ("21: unknown kind of event 'mesage'; did you mean 'message'?"),
    ),
    (
        "{user: a, expect: [{x: y}]}",
        (
            "21: unknown kind of event 'x'; the kinds of event: message, "
            "function_call, function_call_output, agent_handoff, close"
        ),
    ),
    (
        "{user: a, expect: [absent: [{message: x}]]}",
        (
            "20: unknown kind of event 'absent'; absent: stands beside turns:, and holds for the "
            "whole scenario"
        ),
    ),
    (
        "{user: a, expect: [{message: x, close: y}]}",
        ("33: message and 'close' stand in one event; begin each event with `- `"),
    ),
    (
        "{user: a, expect: [{message: {role: asistant}}]}",
        ("37: unknown role 'asistant'; did you mean 'assistant'?"),
    ),
    (
        "{user: a, expect: [{message: {contains: ''}}]}",
        "41: contains cannot be ''; write a part of the text, as nothing is a part of every text",
    ),
    (
        "{user: a, expect: [{function_call: {name: x, arguments: {y: {matches: ''}}}}]}",
        "71: matches cannot be ''; write a regular expression that does not fit every text",
    ),
    (
        "{user: a, expect: [{message: {role: x}}]}",
        ("37: unknown role 'x'; the roles are assistant, user, system, developer"),
    ),
    (
        "{user: a, expect: [{function_call: {arguments: {}}}]}",
        ("36: function_call names no tool; write name: and the tool's name"),
    ),
    (
        "{user: a, expect: [{function_call: {name: x, arguments: {matches: y}}}]}",
        ("57: arguments is a mapping by itself; write a key before the pattern"),
    ),
    (
        "{user: a, expect: [{function_call_output: book}]}",
        (
            "43: function_call_output cannot be 'book'; "
            "write {name: book}, or {output: book} for what a tool returned"
        ),
    ),
    (
        "{user: a, expect: [{agent_handoff: [A]}]}",
        ("36: agent_handoff cannot be a list; write a mapping with some of from, to"),
    ),
    (
        "{user: a, expect_error: a b}",
        ("25: expect_error cannot be 'a b'; write a class name, or module:Class"),
    ),
    ("{user: a, after: {data: x}}", "19: unknown key 'data' in after; did you mean 'userdata'?"),
    ("{user: a, after: 3}", "18: after cannot be '3'; write a mapping with some of userdata"),
]


@pytest.mark.parametrize(("turn", "problem"), TURN, ids=[turn for turn, _ in TURN])
def test_a_mistake_in_a_turn(turn, problem, mistakes):
    (line,) = mistakes(f"scenarios:\n- label: a\n  turns:\n  - {turn}\n")
    column, _, told = problem.partition(": ")
    assert line == f"desk.yaml:4:{int(column) + 4}: {told}"

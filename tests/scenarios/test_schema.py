"""The JSON Schema of the format: what editors complete and check is what loading accepts."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from pytest_lkagent.errors import LoadError
from pytest_lkagent.scenarios import (
    expectations,
    format,  # noqa: A004  # the module's name is what it describes
    load,
    read_call,
    read_expect,
    read_failure,
    read_mocks,
    read_scenario,
    read_turns,
    read_voice,
    schema,
)

SHIPPED = Path(schema.__file__).with_name("schema.json")
LIVEKIT_FILES = Path(__file__).parents[3] / "shared" / "data" / "livekit_scenarios"

EVERYTHING = """\
id: g1
name: Appointments
agent: agent.py:FrontDesk
base: null_is_not_a_path.yaml
rest: true
defaults:
  start: {llm: [hello], expect: [...], within: 2s}
  timeout: 1.5
  now: "2026-06-12T09:00:00Z"
scenarios:
- label: 5
  id: s1
  instructions: x
  agent_expectations: y
  tags: {a: b, c: 1, d: }
  userdata: {a: [1, {b: }]}
  agent: desk.front:Desk
  job: {metadata: {a: [1]}, attributes: {b: c}, participant: {identity: d, kind: sip}}
  judges: {accuracy: maybe}
  expect_veto: no rows
  mocks:
    Desk:
      a: text
      b:
      c: {calls: [{error: x}, {raises: ValueError, message: y}, one], optional: true}
      d: {returns: [1], delay: 2s}
    Task: {task: {email: a@b.c}}
  session: {max_tool_steps: 3}
  history:
  - user: hi
  - function_call: {name: a, arguments: {b: 1}}
  - function_call_output: {name: a, output: x, is_error: false}
  allow: [unused_step]
  turns:
  - user: no
    llm:
    - text
    - {say: x, call: {a: {b: 1}, c: , d: [{}, {e: 2}]}, ttft: 300ms, duration: 1, by: }
    - {call: [{a: {b: 1}}, {c: }, {a: [{}, {b: 2}]}]}
    - {raw_call: {a: "{"}}
    - {raw_call: [{a: "{"}, {b: ["", no]}]}
    - {fail: {status: 429, attempts: 1, after: x}}
    - {fail: {timeout: true}}
    - {fail: ToolError}
    - {silence: true}
    - {stall: true, by: Desk}
    expect:
    - message: x
    - message: {role: user, text: x, contains: y, matches: z, interrupted: true}
    - function_call: a
    - function_call: {name: a, arguments: {b: {matches: c}}}
    - ...
    - function_call_output: {name: a, output: x, contains: y, matches: z, is_error: true}
    - agent_handoff: A
    - agent_handoff: {from: A, to: B}
    - close: error
    expect_error: {type: A, matches: b, contains: c}
    after: {userdata: {a: 1}}
    check: checks.py:a
    capture: {a: b}
    interrupt: 400ms
    settle: false
    within: 2s
  - {wait: 30s, expect: [], expect_error: ValueError}
  - user: {text: x, modality: audio}
  absent: [{function_call: cancel}]
  check: checks:a.b
  marks: [slow]
  xfail: later
"""


@pytest.fixture(scope="module")
def validator():
    return jsonschema.Draft202012Validator(schema.json_schema())


def test_the_shipped_schema_is_the_generated_one():
    generated = json.dumps(schema.json_schema(), indent=2, ensure_ascii=False) + "\n"
    assert SHIPPED.read_text("utf-8") == generated, f"write it anew to {SHIPPED}"


def test_the_schema_is_a_valid_one_and_closed_everywhere(validator):
    validator.check_schema(validator.schema)
    models = [validator.schema, *validator.schema["$defs"].values()]
    objects = [model for model in models if "properties" in model]
    assert len(objects) > 15
    assert all(model["additionalProperties"] is False for model in objects)
    assert all(model["description"] for model in objects)


def test_a_file_that_uses_everything_is_valid_and_loads(validator, read):
    validator.validate(yaml.safe_load(EVERYTHING))
    without_base = EVERYTHING.replace("base: null_is_not_a_path.yaml\nrest: true\n", "")
    assert len(read(without_base).scenarios[0].turns) == 3


@pytest.mark.skipif(not LIVEKIT_FILES.is_dir(), reason=f"no LiveKit files in {LIVEKIT_FILES}")
def test_livekits_own_files_are_valid(validator):
    for path in LIVEKIT_FILES.glob("*.yaml"):
        validator.validate(yaml.safe_load(path.read_text("utf-8")))


BAD = [
    "{turn: []}",
    "{turns: [{usr: x}]}",
    "{turns: [{user: x, llm: [{sy: x}]}]}",
    "{turns: [{user: x, llm: hi}]}",
    "{turns: [{user: x, within: soon}]}",
    "{turns: [{user: {text: x, modality: video}}]}",
    "{turns: [{user: x, expect: [{}]}]}",
    "{turns: [{user: x, expect: [{message: a, close: b}]}]}",
    "{turns: [{user: x, expect: [{message: {role: robot}}]}]}",
    "{turns: [{user: x, expect: [{message: {contains: ''}}]}]}",
    "{turns: [{user: x, expect: [{function_call_output: {matches: ''}}]}]}",
    "{turns: [{user: x, expect: [{function_call: {}}]}]}",
    "{turns: [{user: x, expect: [{function_call_output: name}]}]}",
    "{turns: [{user: x, llm: [{fail: {status: 0}}]}]}",
    "{turns: [{user: x, llm: [{stall: false}]}]}",
    "{turns: [{user: x, llm: [{call: book}]}]}",
    "{turns: [{user: x, llm: [{call: [book, cancel]}]}]}",
    "{turns: [{user: x, llm: [{raw_call: [x]}]}]}",
    "{turns: [{user: }]}",
    "{turns: [], agent: foo}",
    "{turns: [], entrypoint: foo}",
    "{turns: [], job: {metdata: x}}",
    "{turns: [], job: {participant: {kind: phone}}}",
    "{turns: [], judges: good}",
    "{turns: [], judges: {accuracy: good}}",
    "{turns: [], expect_veto: [a]}",
    "{turns: [], userdata: [a]}",
    "{turns: [], tags: {a: [b]}}",
    "{turns: [], mocks: {Desk: x}}",
    "{turns: [], mocks: {Desk: {a: [x]}}}",
    "{turns: [], mocks: {Desk: {a: {retuns: x}}}}",
    "{turns: [], history: [{usr: x}]}",
    "{turns: [], start: {user: hi}}",
    "{turns: [], marks: slow}",
    "{turns: [], absent: [...]}",
]


@pytest.mark.parametrize("scenario", BAD)
def test_what_loading_refuses_the_schema_refuses_too(scenario, validator, read):
    text = f"scenarios:\n- label: a\n  <<: {scenario}\n"
    assert not validator.is_valid(yaml.safe_load(text))
    with pytest.raises(LoadError):
        read(text)


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        (format.FileFormat, load.FILE_KEYS),
        (format.DefaultsFormat, read_scenario.DEFAULT_KEYS),
        (format.ScenarioFormat, read_scenario.SCENARIO_KEYS),
        (format.PastFormat, read_scenario.HISTORY_KEYS),
        (format.StartFormat, read_turns.START_KEYS),
        (format.TurnFormat, read_turns.TURN_KEYS),
        (format.UserFormat, read_turns.USER_KEYS),
        (format.InterjectionFormat, read_call.INTERJECTION_KEYS),
        (format.VoiceFormat, read_voice.VOICE_KEYS),
        (format.LlmFormat, read_turns.ENTRY_KEYS),
        (format.FailFormat, read_failure.FAIL_KEYS),
        (format.OutcomeFormat, read_mocks.OUTCOME_KEYS),
        (format.MockFormat, read_mocks.MOCK_KEYS),
        (format.EventFormat, read_expect.KINDS),
        (format.MessageFormat, read_expect.MESSAGE_KEYS),
        (format.CallFormat, read_expect.CALL_KEYS),
        (format.OutputFormat, read_expect.OUTPUT_KEYS),
        (format.HandoffFormat, read_expect.HANDOFF_KEYS),
        (format.ErrorFormat, read_expect.ERROR_KEYS),
        (format.AfterFormat, read_expect.AFTER_KEYS),
    ],
)
def test_the_schema_and_loading_know_the_same_keys(model: type[BaseModel], keys):
    described = {field.alias or name for name, field in model.model_fields.items()}
    assert described == set(keys)


def test_nothing_of_the_schema_is_needed_to_load(read):
    assert "pydantic" not in vars(load)
    assert "pydantic" not in vars(expectations)

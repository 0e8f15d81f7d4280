"""Reading what makes a scenario a call: its mode, the voice of the agent, what the line is like."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from yaml.nodes import MappingNode, Node

from ..errors import did_you_mean, one_of
from .model import VoiceSpec
from .read_call import read_delay, read_speech
from .read_failure import read_failure
from .reading import Reading, site_of

__all__ = [
    "IMPAIRMENTS",
    "VOICE_KEYS",
    "Impairment",
    "read_impairments",
    "read_mode",
    "read_voices",
]

Impairment = Literal["background_noise", "low_quality_microphone", "packet_loss"]
IMPAIRMENTS: Final[tuple[str, ...]] = get_args(Impairment)
"""Those of LiveKit's ``SimulationImpairments``."""
VOICE_KEYS = ("lasts", "ttfb", "fail")
_MODES = ("text", "audio")


def read_mode(reading: Reading, node: Node) -> Literal["text", "audio"]:
    """Read `mode`: whether the scenario is played as a call."""
    mode = reading.raw(node, "mode", f"one of {one_of(_MODES)}") or "text"
    if mode not in _MODES:
        hint = did_you_mean(mode, _MODES) or f"; there are {one_of(_MODES)}"
        reading.problem(node, f"unknown mode {mode!r}{hint}")
    return "audio" if mode == "audio" else "text"


def read_voices(reading: Reading, node: Node) -> tuple[VoiceSpec, ...]:
    """Read `voices`: how texts are spoken, of which a plain duration says how long."""
    reading.only_in_calls.append((node, "voices"))
    instead = "a mapping of texts to how long they take, like {Good evening.: 1.5s}"
    voices: dict[str, VoiceSpec] = {}
    for key, value in reading.entries(node, "voices", instead):
        voice = VoiceSpec(text=key.value, site=site_of(key), **_voice(reading, value))
        known = voices.setdefault(" ".join(voice.text.split()), voice)  # as it is spoken
        if not voice.text.strip():
            reading.problem(key, "a voice for nothing; write the text that is spoken")
        elif known is not voice:
            twice = f"stands here twice, first in line {known.site.line}; keep one"
            reading.problem(key, f"the voice of {voice.text!r} {twice}")
    return tuple(voices.values())


def _voice(reading: Reading, node: Node) -> dict[str, Any]:
    if not isinstance(node, MappingNode):
        return {"lasts": read_speech(reading, node, "a voice")}
    fields = reading.fields(node, "a voice", VOICE_KEYS)
    voice: dict[str, Any] = {}
    if "lasts" in fields:
        voice["lasts"] = read_speech(reading, fields["lasts"], "lasts")
    if "ttfb" in fields:
        voice["ttfb"] = read_delay(reading, fields["ttfb"], "ttfb")
    if "fail" in fields:
        voice["fail"] = read_failure(reading, fields["fail"])
    return voice


def read_impairments(reading: Reading, node: Node) -> tuple[str, ...]:
    """Read `impairments`: what is wrong with the line."""
    reading.only_in_calls.append((node, "impairments"))
    names = []
    for item in reading.items(node, "impairments", f"a list of {one_of(IMPAIRMENTS)}"):
        name = reading.raw(item, "an impairment", f"one of {one_of(IMPAIRMENTS)}") or ""
        if name not in IMPAIRMENTS:
            hint = did_you_mean(name, IMPAIRMENTS) or f"; there are {one_of(IMPAIRMENTS)}"
            reading.problem(item, f"unknown impairment {name!r}{hint}")
        names.append(name)
    return tuple(names)

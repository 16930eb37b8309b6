"""What is refused before anything is sent (b_*, c_*)."""

from __future__ import annotations

import json
import re

import pytest

from rtc_client import CallConfig, ConfigError
from rtc_client.protocol.wire.session import V1_DEFAULT_VOICE, V1_VOICES, V2_VOICES
from tests.wire.recordings import GOLDEN, episode, episodes
from tests.wire.replay import KEY, config_of, replaying


async def test_v2_is_refused_without_a_request() -> None:
    """Explicit v2 is refused in the words of b_v2_on_webrtc_param, and what would work is named; nothing is sent.

    We say it by an exception when the settings are made, the reference client by a notification after its start.
    """
    recorded = episode("b_v2_on_webrtc_param")
    async with replaying(recorded) as replay:
        with pytest.raises(ConfigError, match=re.escape(recorded.error)) as refused:
            config_of(replay, recorded, version="v2")

    assert "set it to v1" in str(refused.value)
    assert replay.server.requests == []


def test_voices_are_those_of_the_reference_client() -> None:
    """Both lists and the v1 default are those of c_voices."""
    recording = json.loads((GOLDEN / "c_voices.json").read_text(encoding="utf-8"))
    voices = next(e["result"]["voices"] for e in recording["events"] if "voices" in e.get("result", {}))

    assert list(V1_VOICES) == voices["v1"]
    assert list(V2_VOICES) == voices["v2"]
    assert voices["defaultV1"] == V1_DEFAULT_VOICE == CallConfig(api_key=KEY).voice


@pytest.mark.parametrize("n", [0, 1, 2])
async def test_voice_that_cannot_be_is_refused_without_a_request(n: int) -> None:
    """Each start of c_voices is refused: a v2 voice, v2 itself, an unknown voice; the voices there are get named."""
    recorded = episodes("c_voices")[n]
    (start,) = recorded.all("rpc_request")
    settings = {name: start["params"][name] for name in ("voice", "version") if name in start["params"]}
    async with replaying(recorded) as replay:
        with pytest.raises(ConfigError) as refused:
            config_of(replay, recorded, **settings)

    assert replay.server.requests == []
    if "version" not in settings:
        assert ", ".join(V1_VOICES) in str(refused.value)
        assert repr(settings["voice"]) in str(refused.value)


def test_text_modality_is_refused() -> None:
    """Realtime v1 speaks: text output is refused, and audio named as what there is."""
    with pytest.raises(ConfigError, match="set the output modality to audio"):
        CallConfig(api_key=KEY, output_modality="text")

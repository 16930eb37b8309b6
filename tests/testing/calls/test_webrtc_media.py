"""Promises of the media leg: what is said is heard, in time, both ways.

In real time: `test_levels_and_packets_of_the_caller_are_counted`, `test_words_are_told_while_they_are_spoken`.
"""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.cli.demo_speech import AGENT_SPEECH, AGENT_TEXT, CALLER_SPEECH, CALLER_TEXT
from rtc_client.testing import AfterCaller, AgentScript, CallEnd, Clip, Echo, FakeAnswerer, SpokenTurn, Tone
from rtc_client.testing.scenario.voices import tone_samples
from tests.testing.caller import NO_SAMPLES, Caller, form, joined, post, until
from tests.testing.conftest import Place


def likeness(heard: Samples, said: Samples) -> float:
    """Highest normalised correlation of a clip with any place of what was heard, 0 to 1."""
    n_fft = len(heard) + len(said)
    spectrum = np.fft.rfft(heard.astype(float), n_fft) * np.conj(np.fft.rfft(said.astype(float), n_fft))
    correlation = np.fft.irfft(spectrum, n_fft)
    at = int(np.argmax(correlation[: len(heard)]))
    there = heard[at : at + len(said)].astype(float)
    return float(correlation[at] / (np.linalg.norm(there) * np.linalg.norm(said.astype(float))))


async def test_the_agent_answers_the_caller_in_its_own_words(place: Place) -> None:
    """The caller's speech is heard whole, then the agent's clip is spoken, and both are transcribed."""
    script = AgentScript(
        turns=[SpokenTurn(voice=Clip(AGENT_SPEECH), text=AGENT_TEXT, when=AfterCaller())],
        caller_text=CALLER_TEXT,
        hang_up_when_done=True,
    )
    async with FakeAnswerer(script=script) as answerer:
        placed = await place(answerer, read_audio(CALLER_SPEECH))
        async with joined(answerer, placed.call_id) as sideband:
            events = [json.loads(message) async for message in sideband]
        call = answerer.calls[0]
        assert await call.ended() is CallEnd.AGENT

    assert likeness(call.heard, read_audio(CALLER_SPEECH)) > 0.9
    assert likeness(placed.caller.heard(), read_audio(AGENT_SPEECH)) > 0.9
    said = [(e["type"].partition(".")[2], e.get("delta", e.get("transcript"))) for e in events[1:]]
    caller_final = said.index(("input_transcript.turn_marked", CALLER_TEXT))
    assert "".join(text for _, text in said[:caller_final]) == CALLER_TEXT
    assert "".join(text for _, text in said[caller_final + 1 : -1]) == AGENT_TEXT
    assert said[-1] == ("output_audio_transcript.done", AGENT_TEXT)


async def test_an_echo_gives_the_caller_back(place: Place) -> None:
    """What was heard comes back."""
    async with FakeAnswerer(script=AgentScript(turns=[SpokenTurn(voice=Echo(delay_s=0.1))])) as answerer:
        placed = await place(answerer, tone_samples(Tone(frequency_hz=700, duration_s=5)))
        call = await answerer.wait_for_call()
        await call.wait_heard(1.5)

    back = placed.caller.heard()
    spectrum = np.abs(np.fft.rfft(back.astype(float)))
    assert float(np.argmax(spectrum)) * 24_000 / len(back) == pytest.approx(700, abs=5)
    assert level_dbfs(back[-12_000:]) == pytest.approx(-20, abs=3)


@pytest.mark.both_clocks
async def test_levels_and_packets_of_the_caller_are_counted(answerer: FakeAnswerer, place: Place) -> None:
    """A tone at -20 dBFS is heard at -20 dBFS, in 50 packets a second."""
    await place(answerer, tone_samples(Tone(duration_s=5, level_dbfs=-20)))
    call = await answerer.wait_for_call()
    await call.wait_heard(1.0)

    assert call.heard_level_dbfs == pytest.approx(-20, abs=1)
    assert 50 <= call.packets_received <= 75


async def test_a_silent_agent_sends_silence_by_default(answerer: FakeAnswerer, place: Place) -> None:
    """One packet each 20 ms, with nothing in it."""
    placed = await place(answerer)
    call = await answerer.wait_for_call()
    await call.wait_heard(1.0)

    assert 45 <= call.packets_sent <= 75
    assert level_dbfs(placed.caller.heard()) < -80


async def test_an_agent_may_send_nothing_until_it_speaks(place: Place) -> None:
    """No packet at all; and when it speaks, its timestamps tell how long it was silent."""
    async with FakeAnswerer(script=AgentScript(silence="nothing")) as answerer:
        placed = await place(answerer, NO_SAMPLES)
        call = await answerer.wait_for_call()
        await call.wait_heard(0.5)
        assert call.packets_sent == 0

        call.speak(Tone(duration_s=0.4))
        await until(lambda: call.packets_sent == 30)
        call.speak(Tone(duration_s=0.4))
        await until(lambda: call.packets_sent == 60)
        await call.wait_heard(2.0)
        assert call.packets_sent == 60

    heard = placed.caller.heard()
    assert level_dbfs(heard[:9_000]) == pytest.approx(-20, abs=1.5)


@pytest.mark.both_clocks
async def test_words_are_told_while_they_are_spoken(place: Place) -> None:
    """The deltas are spread over the voice, the final comes at its end."""
    script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=1.0), text="one two six ten")])
    loop = asyncio.get_running_loop()
    async with FakeAnswerer(script=script) as answerer:
        placed = await place(answerer)
        async with joined(answerer, placed.call_id) as sideband:
            await sideband.recv()
            at_s = []
            for _ in range(5):
                await sideband.recv()
                at_s.append(loop.time())

    assert [t - at_s[0] for t in at_s] == pytest.approx([0, 0.2, 0.47, 0.73, 1.0], abs=0.15)


async def test_a_text_is_answered_aloud(place: Place) -> None:
    """Each text for the agent gets the reply of the script."""
    reply = SpokenTurn(voice=Tone(duration_s=0.2), text="noted")
    async with FakeAnswerer(script=AgentScript(reply_to_text=reply, hang_up_when_done=True)) as answerer:
        placed = await place(answerer)
        async with joined(answerer, placed.call_id) as sideband:
            content = [{"type": "input_text", "text": "hi"}]
            item = {"type": "message", "role": "user", "content": content}
            await sideband.send(json.dumps({"type": "conversation.item.create", "item": item}, separators=(",", ":")))
            events = [json.loads(message) async for message in sideband]

    assert events[-1] == {"type": "response.output_audio_transcript.done", "transcript": "noted"}
    assert answerer.violations == []


async def test_calls_do_not_hear_each_other(place: Place) -> None:
    """Many at a time, each with its own voices."""
    async with FakeAnswerer() as answerer:
        for n in range(4):
            placed = await place(answerer, tone_samples(Tone(frequency_hz=400 + 200 * n, duration_s=5)))
            await placed.caller.connected()
        for call in answerer.calls:
            await call.wait_heard(1.0)

        assert len({call.call_id for call in answerer.calls}) == 4
        for n, call in enumerate(answerer.calls):
            heard = call.heard
            peak = float(np.argmax(np.abs(np.fft.rfft(heard.astype(float))))) * 24_000 / len(heard)
            assert peak == pytest.approx(400 + 200 * n, abs=5)


async def test_an_offer_with_a_data_channel_is_answered(answerer: FakeAnswerer, place: Place) -> None:
    """It is allowed, and media comes up all the same."""
    caller = Caller(NO_SAMPLES)
    caller.peer.createDataChannel("oai-events")
    response = await post(answerer.base_url, *form(await caller.offer()))
    await caller.accept(response.text)

    call = await answerer.wait_for_call()
    await call.media_connected()
    await call.wait_heard(0.2)
    assert answerer.violations == []
    await caller.close()

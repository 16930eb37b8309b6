"""Tests as a user of rtc-client writes them: with the fixtures of its plugin, and nothing of our own repository."""

import dataclasses

import pytest
from voicemail import leave_message, leave_message_at_last

from rtc_client import ToneSource
from rtc_client.testing import AfterCaller, AgentScript, Impairment, Network, SpokenTurn, Tone, VadSettings
from rtc_client.testing.asserts import assert_contains, assert_heard_within, assert_no_gap, assert_tone

QUICK = VadSettings(silence_s=0.2)
CONFIRMS = AgentScript(
    turns=[SpokenTurn(voice=Tone(frequency_hz=880, duration_s=0.4), text="It is noted.", when=AfterCaller())],
    hearing=QUICK,
)


@pytest.mark.answerer(script=CONFIRMS)
async def test_message_is_heard_and_confirmed(answerer, call_config):
    receipt = await leave_message(call_config, ToneSource(440, duration_s=0.6))

    assert receipt.is_confirmed
    assert receipt.words == "It is noted."
    call = answerer.calls[0]
    assert_tone(call, 440, for_ms=400)
    assert_no_gap(call, 60)
    assert_tone(receipt.sound, 880, for_ms=250)
    assert_heard_within(receipt.sound, 2000)


async def test_silent_agent_confirms_nothing(answerer, call_config):
    receipt = await leave_message(call_config, ToneSource(440, duration_s=0.2))

    assert not receipt.is_confirmed
    assert answerer.calls[0].hung_up_by_client


@pytest.mark.answerer(script=CONFIRMS, relay=Network(to_agent=Impairment(loss_ratio=0.05, delay_s=0.02), seed=3))
async def test_message_survives_a_bad_network(answerer, call_config):
    receipt = await leave_message(call_config, ToneSource(440, duration_s=0.6))

    assert receipt.is_confirmed


async def test_second_attempt_succeeds(answerer, call_config):
    answerer.faults.refuse_post(400)

    receipt = await leave_message_at_last(call_config, lambda: ToneSource(440, duration_s=0.1))

    assert receipt is not None
    assert len(answerer.calls) == 1


async def test_two_lines_are_apart(answerer_factory, call_config):
    first, second = [await answerer_factory() for _ in range(2)]

    for answerer in (first, first, second):
        await leave_message(
            dataclasses.replace(call_config, base_url=answerer.base_url), ToneSource(440, duration_s=0.1)
        )

    assert [len(answerer.calls) for answerer in (first, second)] == [2, 1]


@pytest.mark.asyncio(loop_scope="module")
class TestOnTheLoopOfTheModule:
    async def test_answerer_is_on_that_loop_too(self, answerer, call_config):
        await leave_message(call_config, ToneSource(440, duration_s=0.1))
        assert answerer.calls


@pytest.mark.answerer(script=CONFIRMS)
async def test_what_is_wrong_is_told(answerer, call_config):
    receipt = await leave_message(call_config, ToneSource(440, duration_s=0.4))

    with pytest.raises(AssertionError, match=r"strongest frequencies 880 Hz(.|\n)*saved: .*failed-1\.wav"):
        assert_tone(receipt.sound, 440)
    assert_contains(receipt.sound, receipt.sound, at_ms=0)

"""Promises of the live page, in headless Chromium: it shows the calls in progress, and its buttons do what they say."""

from __future__ import annotations

import asyncio
import json

import pytest

from rtc_client import (
    CallConfig,
    EndReason,
    OfferRejected,
    SilenceSource,
    ToneSource,
    UnknownEvent,
    connect,
)
from rtc_client.testing import AgentScript, Expect, FakeAnswerer, Scenario, SpokenTurn, Tone
from rtc_client.testing.rules.requests import BINARY_FRAME
from tests.interop.browser import executable
from tests.interop.page_driver import DrivenPage, driven_page

pytestmark = [
    pytest.mark.real_time("a browser keeps its own time"),
    pytest.mark.skipif(executable() is None, reason="no Chromium here: apt-get install chromium"),
]

SAYS = "document.getElementById({}).innerText.includes({})"


def config_for(answerer: FakeAnswerer) -> CallConfig:
    return CallConfig(api_key="sk-page-test-77aa", base_url=answerer.base_url)


async def shows(page: DrivenPage, where: str, text: str) -> None:
    """Return once an element shows a text."""
    await page.sees(SAYS.format(json.dumps(where), json.dumps(text)))


async def test_a_call_is_seen_and_handled() -> None:
    """State, levels, transcript and messages are shown; a typed event arrives; the button hangs up."""
    script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=60, level_dbfs=-20), text="Good day.")])
    async with FakeAnswerer(script=script) as answerer, driven_page(answerer.page_url) as page:
        await shows(page, "none", answerer.base_url)
        async with connect(config_for(answerer), source=ToneSource(500, level_dbfs=-30)) as call:
            await shows(page, "state", "active")
            await shows(page, "id", str(call.call_id))
            await shows(page, "caller-level", "-30 dBFS")
            await shows(page, "agent-level", "-20 dBFS")
            await shows(page, "transcript", "Good")
            await shows(page, "facts", "events on")
            await shows(page, "wire", "session.update")
            await shows(page, "violations", "None.")

            await page.fill("#event-text", '{"type":"typed.by.hand","value":7}')
            await page.click("#event button")
            event = await anext(event async for event in call.events() if isinstance(event, UnknownEvent))
            assert event.raw == {"type": "typed.by.hand", "value": 7}
            await shows(page, "said", "sent typed.by.hand")
            await shows(page, "wire", "typed.by.hand")

            await page.click("#hang-up")
            result = await call.wait_ended()
        await shows(page, "state", "ended")
        await shows(page, "facts", "the agent hung up")

        assert result.end is not None
        assert result.end.reason is EndReason.REMOTE_HANGUP
        assert page.complaints == []
        assert [request.path for request in answerer.requests] == ["/v1/realtime/calls"]
        assert answerer.violations == []


async def test_faults_are_started_and_ended() -> None:
    """A fault of this call begins by its button and ends by another; one for the next call is met by its POST."""
    async with FakeAnswerer() as answerer, driven_page(answerer.page_url) as page:
        async with connect(config_for(answerer), source=SilenceSource()) as call:
            await shows(page, "facts", "events on")
            answered = await answerer.wait_for_call()
            await page.choose("#fault-name", "unknown_events")
            await page.click("#fault-start")
            await shows(page, "said", "started unknown_events")
            await shows(page, "running", "unknown_events")
            assert [fault.name for fault in answered.faults.in_calls] == ["unknown_events"]
            await page.click("#running button")
            await page.sees("document.getElementById('running').innerText === ''")
            assert answered.faults.in_calls == ()

            await page.choose("#fault-name", "error_event")
            await page.fill("#fault-options", '{"kind": "no_such"}')
            await page.click("#fault-start")
            await shows(page, "said", "there is no error event 'no_such'")

            await page.choose("#fault-name", "refuse_post")
            assert json.loads(await page.evaluate("document.getElementById('fault-options').value")) == {
                "status": 503,
                "times": 1,
            }
            await page.fill("#fault-options", '{"status": 418, "times": 1}')
            await page.click("#fault-start")
            await shows(page, "running", "refuse_post (next ones)")
            with pytest.raises(OfferRejected) as refused:
                async with connect(config_for(answerer)):
                    pass
            assert refused.value.status == 418
            await page.sees("document.getElementById('running').innerText === ''")
            assert call.call_id == answered.call_id
        # A browser complains of the refusal of that one kind, and of nothing else.
        assert ["400 (Bad Request)" in complaint for complaint in page.complaints] == [True]


async def test_a_scenario_is_followed() -> None:
    """Each step is shown with what came of it, and why one failed."""
    scenario = Scenario(
        name="strict",
        steps=[SpokenTurn(voice=Tone(duration_s=0.1)), Expect(message={"type": "no.such.message"}, within_s=0.3)],
    )
    async with FakeAnswerer(scenario=scenario, check_on_exit=False) as answerer, driven_page(answerer.page_url) as page:
        async with connect(config_for(answerer), source=SilenceSource()):
            await shows(page, "steps", "✓")
            await shows(page, "steps", "✗")
        await shows(page, "scenario-verdict", "strict: not met")
        assert page.complaints == []


async def test_calls_are_told_apart() -> None:
    """Each call has its button, the newest is shown by itself, and one that was chosen stays."""
    async with FakeAnswerer() as answerer, driven_page(answerer.page_url, width=700) as page:
        async with connect(config_for(answerer), source=SilenceSource()) as first:
            await shows(page, "id", str(first.call_id))
            async with connect(config_for(answerer), source=SilenceSource()) as second:
                await page.sees("document.querySelectorAll('#calls button').length === 2")
                await page.click(f"#calls button[data-id={second.call_id}]")
                await shows(page, "id", str(second.call_id))
                await page.click(f"#calls button[data-id={first.call_id}]")
                await shows(page, "id", str(first.call_id))
                assert str(second.call_id) not in await page.text("#wire")
                await page.click("#all")
                await shows(page, "wire", str(second.call_id))
            await shows(page, "counts", "1 live of 2 calls")
            await shows(page, "id", str(first.call_id))
        assert page.complaints == []


async def test_what_a_client_sends_is_text() -> None:
    """Markup in a message or a transcript is shown as it is; nothing of it runs. Violations are shown in words."""
    markup = "<img src=x onerror=document.title='hacked'><b>bold</b>"
    async with FakeAnswerer() as answerer, driven_page(answerer.page_url, dark=True) as page:
        async with connect(config_for(answerer), source=SilenceSource()) as call:
            await call.say(markup)
            await shows(page, "transcript", markup)
            answered = await answerer.wait_for_call()
            answerer._record.blame([BINARY_FRAME, BINARY_FRAME], answered.call_id)
            await shows(page, "violations", f"§{BINARY_FRAME.section} {BINARY_FRAME.message} ×2")
            await shows(page, "counts", "2 violations")
            await page.click("#wire details:last-child summary")
            await shows(page, "wire", "conversation.item.create")

        assert "hacked" not in await page.evaluate("document.title")
        assert page.complaints == []


async def test_shutting_down_takes_two_clicks() -> None:
    """The first click asks, the second one does it; then the page says that nobody is there."""
    async with FakeAnswerer() as answerer, driven_page(answerer.page_url) as page:
        await page.click("#shutdown")
        await shows(page, "shutdown", "Really?")
        assert not answerer.shutdown_asked.is_set()
        await page.click("#shutdown")
        async with asyncio.timeout(5):
            await answerer.shutdown_asked.wait()
        await answerer.aclose()
        await page.sees("document.getElementById('dot').className === 'dot off'")

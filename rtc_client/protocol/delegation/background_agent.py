"""The two functions that a v2 session offers its agent, and the texts around their calls (protocol.md section 10).

On realtime v1 the agent hands over by an event of its own (`handoff.py`); on v2 it calls `background_agent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rtc_client.protocol.delegation.handoff import LongOutput, output_texts
from rtc_client.protocol.wire.codec import load_json
from rtc_client.protocol.wire.commands import Command, CreateItem, CreateMessage, CreateResponse
from rtc_client.protocol.wire.events import HandoffRequested, ItemDone, ServerEvent
from rtc_client.protocol.wire.items import FunctionCallItem, FunctionCallOutputItem
from rtc_client.protocol.wire.session import JsonObject

BACKGROUND_AGENT: Final = "background_agent"
REMAIN_SILENT: Final = "remain_silent"

USER_PREFIX: Final = "[USER] "
"""Before what a user writes, so that the model can tell it from what the background agent says."""
BACKEND_PREFIX: Final = "[BACKEND] "
"""Before what the background agent says; both come as messages of the role user."""

FINISHED: Final = "Background agent finished. Use the preceding [BACKEND] messages as the result."
STEERED: Final = "This was sent to steer the previous background agent task."
DECLINED: Final = "The background agent did not take this request."
"""Ours: the reference client always has somebody to take it."""

_DELEGATION: Final = (
    "Send a user request to the background agent. Use this as the default action. Do not rephrase the user's ask or "
    "rewrite it in your own words; pass along the user's own words. If the background agent is idle, this starts a new "
    "task and returns the final result to the user. If the background agent is already working on a task, this sends "
    "the request as guidance to steer that previous task. If the user asks to do something next, later, after this, or "
    "once current work finishes, call this tool so the work is actually queued instead of merely promising to do it "
    "later."
)
_SILENCE: Final = (
    "Call this when the best response is to say nothing. Use it instead of speaking after hidden system/control "
    "messages, after background agent updates in silent modes, or whenever acknowledging aloud would be distracting. "
    "This tool has no user-visible effect."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class V2Replies:
    """Realtime v2: what the background agent says are messages, and its end answers the function call (section 10).

    The output limits are those of v1. A request that steers is answered at once, so the first one's end is the end.
    """

    long_output: LongOutput = "cut"

    moves_to_latest = False

    def output(self, handoff_id: str, text: str, *, is_progress: bool) -> Sequence[Command]:
        texts = output_texts(text, BACKEND_PREFIX, long_output=self.long_output)
        return [CreateMessage(text=text) for text in texts]

    def steered(self, handoff_id: str) -> Sequence[Command]:
        return answered(handoff_id, STEERED), CreateResponse()

    def finished(self, handoff_id: str) -> Sequence[Command]:
        return answered(handoff_id, FINISHED), CreateResponse()

    def declined(self, handoff_id: str) -> Sequence[Command]:
        return answered(handoff_id, DECLINED), CreateResponse()

    def by_hand(self, text: str, handoff_id: str | None) -> Sequence[Command]:
        return self.output("", text, is_progress=False)


def as_handoff(event: ServerEvent) -> ServerEvent:
    """Return the request that a call of `background_agent` is, any other event as it is.

    Its `handoff_id` is that of the function call. Arguments that are not JSON are the request itself.
    """
    if not isinstance(event, ItemDone):
        return event
    match event.item:
        case FunctionCallItem(name=name, call_id=str(call_id)) if name == BACKGROUND_AGENT:
            return HandoffRequested(
                type=event.type,
                event_id=event.event_id,
                raw=event.raw,
                handoff_id=call_id,
                item_id=event.item_id or "",
                input_transcript=_prompt(event.item.arguments),
            )
        case _:
            return event


def silent_call(event: ItemDone) -> str | None:
    """Return the id of a call of `remain_silent`, None if the item is something else."""
    match event.item:
        case FunctionCallItem(name=name, call_id=str(call_id)) if name == REMAIN_SILENT:
            return call_id
        case _:
            return None


def _prompt(text: str) -> str:
    try:
        value = load_json(text)
    except ValueError:
        return text
    match value:
        case {"prompt": str(prompt)}:
            return prompt
        case _:
            return text


def function_tools(*, has_background_agent: bool) -> list[JsonObject]:
    """Return the tools of a v2 session, in the words of the reference client.

    That one always offers both. We offer `background_agent` only where a handler does what is asked for: an agent who
    is told to use it by default would otherwise ask nobody.
    """
    prompt = {"type": "string", "description": "The user request to delegate to the background agent."}
    delegation = _function(BACKGROUND_AGENT, _DELEGATION, {"properties": {"prompt": prompt}, "required": ["prompt"]})
    silence = _function(REMAIN_SILENT, _SILENCE, {"properties": {}})
    return [delegation, silence] if has_background_agent else [silence]


def answered(tool_call_id: str, output: str) -> Command:
    """Return the command that answers a function call."""
    return CreateItem(item=FunctionCallOutputItem(call_id=tool_call_id, output=output))


def user_text(text: str) -> str:
    """Return what a user's text is on v2: prefixed, unless it is already."""
    return text if text.startswith(USER_PREFIX) else USER_PREFIX + text


def _function(name: str, description: str, parameters: JsonObject) -> JsonObject:
    schema: JsonObject = {"type": "object", **parameters, "additionalProperties": False}
    return {"type": "function", "name": name, "description": description, "parameters": schema}

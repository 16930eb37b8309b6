"""The two functions that a v2 session offers its agent, and what is said about a call of one (wire-protocol.md 10).

On realtime v1 the agent hands over by an event of its own (`handoff.py`); on v2 it calls `background_agent`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from rtc_client.protocol.commands import Command, CreateItem
from rtc_client.protocol.events import RawEvent
from rtc_client.protocol.items import FunctionCallOutputItem
from rtc_client.protocol.session import JsonObject

BACKGROUND_AGENT: Final = "background_agent"
REMAIN_SILENT: Final = "remain_silent"

USER_PREFIX: Final = "[USER] "
"""Before what a user writes, so that the model can tell it from what the background agent says."""
BACKEND_PREFIX: Final = "[BACKEND] "
"""Before what the background agent says; both come as messages of the role user."""

FINISHED: Final = "Background agent finished. Use the preceding [BACKEND] messages as the result."
STEERED: Final = "This was sent to steer the previous background agent task."

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
class FunctionCall:
    """The agent calls a function of the session."""

    name: str
    tool_call_id: str
    """What the answer refers to; `call_id` on the wire."""
    item_id: str
    arguments: str = field(repr=False)
    """JSON, mostly: it is the model that writes it."""


def function_tools() -> list[JsonObject]:
    """Return the tools of a v2 session, as the reference client offers them."""
    prompt = {"type": "string", "description": "The user request to delegate to the background agent."}
    return [
        _function(BACKGROUND_AGENT, _DELEGATION, {"properties": {"prompt": prompt}, "required": ["prompt"]}),
        _function(REMAIN_SILENT, _SILENCE, {"properties": {}}),
    ]


def function_call(item: RawEvent) -> FunctionCall | None:
    """Return the function call that a finished item is, None if it is something else."""
    match item:
        case {"type": "function_call", "name": str(name), "call_id": str(tool_call_id), "id": str(item_id)}:
            arguments = item.get("arguments")
            return FunctionCall(
                name=name,
                tool_call_id=tool_call_id,
                item_id=item_id,
                arguments=arguments if isinstance(arguments, str) else "",
            )
        case _:
            return None


def answered(tool_call_id: str, output: str) -> Command:
    """Return the command that answers a function call."""
    return CreateItem(item=FunctionCallOutputItem(call_id=tool_call_id, output=output))


def user_text(text: str) -> str:
    """Return what a user's text is on v2: prefixed, unless it is already."""
    return text if text.startswith(USER_PREFIX) else USER_PREFIX + text


def _function(name: str, description: str, parameters: JsonObject) -> JsonObject:
    schema: JsonObject = {"type": "object", **parameters, "additionalProperties": False}
    return {"type": "function", "name": name, "description": description, "parameters": schema}

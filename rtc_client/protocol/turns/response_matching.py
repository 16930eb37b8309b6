"""ResponseMatcher: matches each response of the server to the request it answers, and keeps its outcome. Pure.

A server does not repeat the `event_id` of a `response.create` in what comes of it. It repeats the metadata, so each
request carries its id there. A server that tells no metadata at all answers in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from msgspec import structs

from rtc_client.errors import CommandFault, InvalidCommand
from rtc_client.protocol.wire import events as ev
from rtc_client.protocol.wire.commands import CreateResponse
from rtc_client.protocol.wire.items import (
    AudioPart,
    FunctionCallItem,
    Item,
    MessageItem,
    OutputAudio,
    OutputText,
    TextPart,
)
from rtc_client.protocol.wire.responses import Response, ResponseParameters, Usage

TAG: Final = "rtc_client_request"
"""The key of the metadata under which a response repeats the id of its request."""
ID_PREFIX: Final = "rtc_client_"
MAX_METADATA: Final = 15
"""Pairs of the user's; a response has 16, and one is ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedResponse:
    """What a response that is over came to (`call.respond`)."""

    id: str | None
    """The server's name for it."""
    status: str
    """`completed`, `cancelled`, `failed` or `incomplete`."""
    text: str = field(default="", repr=False)
    """What was written; empty for a response that was spoken."""
    transcript: str = field(default="", repr=False)
    """What was spoken, in words; empty for a response that was written."""
    items: tuple[Item, ...] = ()
    """All of its output: messages, function calls and more."""
    usage: Usage | None = None
    """What it used, in tokens; None where the server does not say."""
    reason: str | None = None
    """Why it is not `completed`: the code of an error, else `turn_detected`, `client_cancelled`,
    `max_output_tokens` or `content_filter`."""
    metadata: Mapping[str, object] = field(default_factory=dict, repr=False)
    """What it was asked with."""

    @property
    def words(self) -> str:
        """What was said, spoken or written."""
        return self.text or self.transcript

    @property
    def function_calls(self) -> tuple[FunctionCallItem, ...]:
        """The functions that the agent calls."""
        return tuple(item for item in self.items if isinstance(item, FunctionCallItem))


@dataclass(slots=True)
class _Request:
    is_sent: bool = False
    response_id: str | None = None


class ResponseMatcher:
    """The requests that somebody waits for, and the response that is under way."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Request] = {}
        self._n_asked = 0
        self.active_id: str | None = None
        """The response that the server has begun and not ended, the latest of them; None for none."""

    def ask(self) -> str:
        """Return the id of a new request, which is waited for from now on."""
        self._n_asked += 1
        event_id = f"{ID_PREFIX}{self._n_asked}"
        self._waiting[event_id] = _Request()
        return event_id

    def forget(self, event_id: str) -> None:
        """Nobody waits for it any more."""
        self._waiting.pop(event_id, None)

    def is_ours(self, event_id: str) -> bool:
        """Return whether a request was asked for here, whether it is still waited for or not."""
        number = event_id.removeprefix(ID_PREFIX)
        return number != event_id and number.isdecimal() and 0 < int(number) <= self._n_asked

    def is_awaited(self, event_id: str) -> bool:
        """Return whether somebody waits for what a request comes to."""
        return event_id in self._waiting

    def sent(self, event_id: str) -> None:
        """Take note that a request has left."""
        if (request := self._waiting.get(event_id)) is not None:
            request.is_sent, request.response_id = True, None

    def created(self, event: ev.ResponseCreated) -> None:
        """Take note of a response that begins."""
        self.active_id = event.response_id
        event_id = self._asker(event.response, event.raw)
        if event_id is not None:
            self._waiting[event_id].response_id = event.response_id

    def ended(self, event: ev.ResponseDone | ev.ResponseCancelled) -> tuple[str | None, FinishedResponse]:
        """Take note of a response that is over; return who waits for it, None for nobody, and what it came to."""
        if self.active_id == event.response_id:
            self.active_id = None
        response = event.response or Response(id=event.response_id)
        event_id = _tag(response)
        if event_id not in self._waiting:
            is_tied = (k for k, r in self._waiting.items() if r.response_id and r.response_id == event.response_id)
            event_id = next(is_tied, None)
        finished = finished_response(response)
        if isinstance(event, ev.ResponseCancelled):
            finished = replace(finished, status="cancelled")
        return event_id, finished

    def refused(self, event: ev.ErrorEvent, *, is_kept: bool) -> str | None:
        """Return whose request an error is about, None if nobody waits for it.

        With `is_kept` the request will leave again: nobody's response is refused, and none has begun for it.
        """
        request = self._waiting.get(event.client_event_id or "")
        if request is None:
            if is_kept:  # it may be about the one that was sent last, without saying so
                for sent in self._waiting.values():
                    sent.is_sent, sent.response_id = False, None
            return None
        request.is_sent, request.response_id = False, None
        return None if is_kept else event.client_event_id

    def _asker(self, response: Response, raw: Mapping[str, object]) -> str | None:
        tag = _tag(response)
        if tag in self._waiting:
            return tag
        told = raw.get("response")
        if tag is not None or (isinstance(told, dict) and "metadata" in told):
            return None
        return next((k for k, r in self._waiting.items() if r.is_sent and r.response_id is None), None)


def create_response(parameters: ResponseParameters, event_id: str) -> CreateResponse:
    """Return the request for a response, with its id where the server will repeat it.

    Raises:
        InvalidCommand: The parameters cannot be asked for; or their metadata has more pairs than there is room for, or
            one by our name.
    """
    given = dict(parameters.metadata or {})
    if len(given) > MAX_METADATA or TAG in given:
        raise InvalidCommand(
            CommandFault.METADATA,
            f"metadata takes at most {MAX_METADATA} pairs here, none of them called {TAG}: by that one the response is "
            "known again",
        )
    return CreateResponse(event_id=event_id, response=structs.replace(parameters, metadata=given | {TAG: event_id}))


def finished_response(response: Response) -> FinishedResponse:
    """Return what a response came to, as the server tells it."""
    written, spoken = [], []
    for item in response.output:
        for part in item.content if isinstance(item, MessageItem) else ():
            match part:
                case OutputText(text=str(text)) | TextPart(text=str(text)):
                    written.append(text)
                case OutputAudio(transcript=str(text)) | AudioPart(transcript=str(text)):
                    spoken.append(text)
                case _:
                    pass
    details = response.status_details
    error = None if details is None else details.error
    return FinishedResponse(
        id=response.id,
        status=response.status or "completed",
        text="".join(written),
        transcript="".join(spoken),
        items=response.output,
        usage=response.usage,
        reason=None if details is None else (error.code or error.type if error is not None else details.reason),
        metadata={key: value for key, value in (response.metadata or {}).items() if key != TAG},
    )


def _tag(response: Response) -> str | None:
    tag = (response.metadata or {}).get(TAG)
    return tag if isinstance(tag, str) else None

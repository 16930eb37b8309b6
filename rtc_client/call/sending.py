"""Sending, the part of `Call` by which something reaches the server: texts, sound, approvals, any command.

What is sent is made in `protocol/`, and waits for its turn in the call's outbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from rtc_client.audio.frames import Samples
from rtc_client.audio.given import pcm16_pieces
from rtc_client.call.engine import Engine
from rtc_client.errors import CommandFault, ConfigError, InvalidCommand, SidebandRejected
from rtc_client.protocol.background import user_text
from rtc_client.protocol.codec import command_json, dump_command, dump_raw
from rtc_client.protocol.commands import (
    AppendAudio,
    ClearAudio,
    Command,
    CommitAudio,
    CreateItem,
    CreateMessage,
    check_proven,
)
from rtc_client.protocol.items import McpApprovalRequestItem, McpApprovalResponseItem


class Sending:
    """What can be sent in a call; a call is a `Call`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def say(self, text: str, *, role: Literal["user", "developer", "assistant"] = "user") -> None:
        """Add a text message to the conversation. Before the sideband is joined it waits its turn.

        Returns when the text has a place in the queue; with 64 texts waiting, once there is room. Cancelled before
        that, nothing is sent.

        Args:
            text: What is said; it may be empty.
            role: Who says it: `user` is the caller, `developer` tells the agent how to behave, `assistant` puts words
                into the agent's mouth. The content type is the role's own: `output_text` for the assistant,
                `input_text` for the others (wire-protocol.md section 6).

        What the caller or the agent says this way is an entry of the transcript, marked as `written`, from when it was
        sent; what a developer says is not, for nobody in the conversation said it. On realtime v2 what a user says is
        marked `[USER] ` on the wire, as what a background agent says is marked too (wire-protocol.md section 10).

        Raises:
            ConfigError: It is no text that can be sent, or nobody would read it.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        await self._say(text, role)

    async def send(self, command: Command, *, allow_unproven: bool = False) -> None:
        """Send a client event. Before the sideband is joined it waits its turn.

        Returns when the command has a place in the queue; with 64 waiting, once there is room. Whether the server took
        it is told by its events: one about an error carries the `event_id` that the command was given.

        Args:
            command: What to send; it was checked when it was made.
            allow_unproven: Send a command that realtime v1 is not known to take (wire-protocol.md section 6).

        Raises:
            InvalidCommand: It cannot be written as JSON, or is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        frame = dump_command(command)
        if not allow_unproven and self._engine.config.version == "v1":
            check_proven(command_json(command))
        await self._send_frame(frame)

    async def send_raw(self, event: Mapping[str, object] | str, *, allow_unproven: bool = False) -> None:
        """Send any client event: a mapping, or JSON text, which goes out as it was written. Nothing in it is checked.

        Args:
            event: A JSON object with a `type`.
            allow_unproven: Send it although realtime v1 is not known to take it (wire-protocol.md section 6).

        Raises:
            InvalidCommand: It is no JSON object with a `type`, or is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        frame, raw = dump_raw(event)
        if not allow_unproven and self._engine.config.version == "v1":
            check_proven(raw)
        await self._send_frame(frame)

    async def send_text(self, text: str, *, role: Literal["user", "developer", "assistant"] = "user") -> None:
        """Do what `say` does, under its older name."""
        await self.say(text, role=role)

    async def _say(self, text: str, role: Literal["user", "developer", "assistant"]) -> str:
        config = self._engine.config
        self._refuse_transcription("no agent that could read a text")
        frame = dump_command(
            CreateMessage(text=user_text(text) if config.version == "v2" and role == "user" else text, role=role)
        )
        await self._send_frame(frame)
        return frame

    async def _send_frame(self, frame: str) -> None:
        if self._engine.config.sideband == "off":
            raise SidebandRejected("this call has no sideband to send on: its policy is off")
        await self._engine.outbox.put(frame)

    def _refuse_transcription(self, what: str) -> None:
        if self._engine.config.mode == "transcription":
            raise ConfigError(f"a transcription has {what}")

    async def append_audio(
        self, samples: Samples | bytes | bytearray | memoryview, *, allow_unproven: bool = False
    ) -> None:
        """Append to what the caller says, over a websocket.

        From the first append on the call sends no silence of its own, in which your sound would be lost. The server
        looks for turns in it as in any sound, so append the silence behind a sentence too, or end it by
        `commit_audio`: nothing is committed behind your back. Sound may be appended faster than it is spoken. It goes
        in pieces of 10 s; returns when the last one has a place in the queue, which takes 64.

        Args:
            samples: int16, shape `(n_samples,)`, mono, 24 kHz; or the bytes of that, little-endian.
            allow_unproven: Send it beside the media path of a WebRTC call, which is not known to take it.

        Raises:
            InvalidCommand: It is no such sound, or the call has a media path that carries the caller's voice.
            ConfigError: The call has a source, which is the caller's voice.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.

        Cancelled, what has a place in the queue is sent.
        """
        engine = self._engine
        pieces = pcm16_pieces(samples)
        if not engine.config.is_direct and not allow_unproven:
            raise InvalidCommand(
                CommandFault.UNPROVEN,
                "the caller's voice of a WebRTC call goes by its media path: give the call a source, such as "
                "PushSource; pass allow_unproven=True to append it as an event all the same",
            )
        if engine.voices.has_source:
            raise ConfigError("this call has a source, which is the caller's voice: leave it out to append sound")
        engine.media.take_over()
        for piece in pieces:
            await self.send(AppendAudio.from_pcm16(piece), allow_unproven=True)

    async def commit_audio(self, *, allow_unproven: bool = False) -> None:
        """Make what was appended an item of the conversation. `InputAudioCommitted` answers; no response is asked for.

        Where the server detects turns it does that by itself, and answers an empty commit with an error event.

        Raises:
            InvalidCommand: It is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        await self.send(CommitAudio(), allow_unproven=allow_unproven)

    async def clear_audio(self, *, allow_unproven: bool = False) -> None:
        """Throw away what was appended and not committed. `InputAudioCleared` answers.

        Raises:
            InvalidCommand: It is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        await self.send(ClearAudio(), allow_unproven=allow_unproven)

    async def approve(
        self, request: McpApprovalRequestItem | str, *, reason: str | None = None, allow_unproven: bool = False
    ) -> None:
        """Approve a call of an MCP tool, which the service then makes by itself.

        `McpCallCompleted` or `McpCallFailed` tells of its end. Words about the result a client has to ask for: on
        realtime v2 the call does so once for each response that called, if it was given the server's `McpTool`; a
        program that has set up its MCP servers otherwise calls `respond` itself.

        Args:
            request: The item that asks for it (of `ItemDone`), or its id.
            reason: Why, for the record.
            allow_unproven: Send it on realtime v1, which is not known to take it.

        Raises:
            InvalidCommand: The request has no id, or it is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        approval = _approval(request, reason, approve=True)
        await self.send(CreateItem(item=approval), allow_unproven=allow_unproven)

    async def deny(
        self, request: McpApprovalRequestItem | str, *, reason: str | None = None, allow_unproven: bool = False
    ) -> None:
        """Refuse a call of an MCP tool; otherwise as `approve`. The agent may be told the `reason`.

        It is asked to speak, where it would be of a result.

        Raises:
            InvalidCommand: The request has no id, or it is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        denial = _approval(request, reason, approve=False)
        await self.send(CreateItem(item=denial), allow_unproven=allow_unproven)
        self._engine.tools.denied(denial.approval_request_id)


def _approval(request: McpApprovalRequestItem | str, reason: str | None, *, approve: bool) -> McpApprovalResponseItem:
    request_id = request if isinstance(request, str) else request.id
    if not request_id:
        raise InvalidCommand(CommandFault.EMPTY_ID, "an approval names the request that it answers, which has no id")
    return McpApprovalResponseItem(approval_request_id=request_id, approve=approve, reason=reason)

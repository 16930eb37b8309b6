"""One frozen type per client event that a v1 call may send (wire-protocol.md section 6), checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rtc_client.errors import ConfigError
from rtc_client.protocol.session import SessionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSession:
    """Tell the server the session settings; always the first frame of a sideband."""

    settings: SessionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateMessage:
    """Add a text message to the conversation. An empty text is sent too."""

    text: str = field(repr=False)
    role: Literal["user", "developer", "assistant"] = "user"

    def __post_init__(self) -> None:
        check_text("the text of a message", self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendHandoffOutput:
    """Add output of a handoff (wire-protocol.md section 9); `handoff_id` is `codex` for output that answers none."""

    handoff_id: str
    output_text: str = field(repr=False)

    def __post_init__(self) -> None:
        check_text("the id of a handoff", self.handoff_id)
        check_text("the output of a handoff", self.output_text)


Command: TypeAlias = UpdateSession | CreateMessage | AppendHandoffOutput


def check_text(name: str, text: str) -> None:
    """Raise unless `text` can be sent: JSON travels as UTF-8, which has no lone surrogates.

    Raises:
        ConfigError: `name` is what the message calls the text; the text itself is not repeated.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{name} holds a lone surrogate, which is not text that can be sent as UTF-8") from None

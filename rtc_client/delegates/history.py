"""What a model was told and has answered, turn by turn, within a budget. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from rtc_client.protocol.delegation.handoff import approximate_tokens
from rtc_client.protocol.wire.codec import dump_json

Item: TypeAlias = dict[str, Any]
"""An input item of the Responses API."""

_COMPACTED_FACTOR: Final = 4
"""A server that compacts keeps the history near its threshold; this is what it may be at most."""


class History:
    """The turns of one call.

    A turn is kept once it is complete. Over the budget the oldest turns go, whole; where the server compacts, what came
    before its compaction item goes.
    """

    def __init__(self, budget_tokens: int, *, is_compacted: bool) -> None:
        self._limit_tokens = budget_tokens * (_COMPACTED_FACTOR if is_compacted else 1)
        self._turns: list[tuple[list[Item], int]] = []

    @property
    def items(self) -> list[Item]:
        """Every item that is kept, oldest first."""
        return [item for turn, _ in self._turns for item in turn]

    def add(self, turn: Sequence[Item]) -> None:
        """Keep a turn that is complete."""
        kept = since_compaction(turn)
        if len(kept) < len(turn) or is_compaction(kept[0]):
            self._turns.clear()
        self._turns.append((kept, approximate_tokens(dump_json(kept))))
        while len(self._turns) > 1 and sum(tokens for _, tokens in self._turns) > self._limit_tokens:
            del self._turns[0]

    def clear(self) -> None:
        """Forget everything."""
        self._turns.clear()


def is_compaction(item: Item) -> bool:
    """Return whether an item stands for all that came before it."""
    return item.get("type") == "compaction"


def since_compaction(items: Sequence[Item]) -> list[Item]:
    """Return the items from the latest compaction on: it carries what is needed of those before it."""
    starts = [n for n, item in enumerate(items) if is_compaction(item)]
    return list(items[starts[-1] :]) if starts else list(items)


def user_message(text: str) -> Item:
    """Return the item of a text that the model is told."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def tool_output(call_id: str, output: str) -> Item:
    """Return the item of what a tool has answered."""
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def resendable(item: Mapping[str, Any]) -> Item | None:
    """Return an item of the model's output as an item of its next input, None for what it does not need again.

    Ids go: they name what the server has stored, and it stores nothing for us. So reasoning is of use only where its
    content is encrypted in it, and of the calls of hosted tools the message tells the result.
    """
    match item:
        case {"type": "message"}:
            content = [{"type": "output_text", "text": text_of(item)}]
            message = {"type": "message", "role": "assistant", "content": content}
            return message | ({"phase": item["phase"]} if item.get("phase") else {})
        case {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}:
            return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
        case {"type": "reasoning", "encrypted_content": str(content)}:
            return {"type": "reasoning", "summary": item.get("summary") or [], "encrypted_content": content}
        case {"type": "compaction", "encrypted_content": content}:
            return {"type": "compaction", "encrypted_content": content}
        case _:
            return None


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message of the model; of a refusal what it says."""
    parts = message.get("content") or []
    return "".join(part.get("text") or part.get("refusal") or "" for part in parts)

"""Promise: the sync door and the async door have the same methods, with the same arguments and the same words."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator

import pytest

import rtc_client
from rtc_client import sync
from tests.sync import faces


def test_every_member_of_the_async_call_is_one_of_the_sync_call() -> None:
    """And there is no other."""
    public = {name for name in dir(rtc_client.Call) if not name.startswith("_")}

    assert public == {name for name in dir(sync.Call) if not name.startswith("_")}, "run scripts/make-sync"


@pytest.mark.parametrize("name", [*faces.members(), "connect"])
def test_arguments_are_those_of_the_async_door(name: str) -> None:
    """They have the same names, kinds, defaults and types; what waits takes a time limit more; nothing is to await."""
    theirs, ours = (
        getattr(rtc_client if name == "connect" else rtc_client.Call, name),
        getattr(sync if name == "connect" else sync.Call, name),
    )

    assert isinstance(ours, property) == isinstance(theirs, property)
    if isinstance(ours, property):
        theirs, ours = theirs.fget, ours.fget
    parameters = dict(inspect.signature(ours).parameters)
    expected = dict(inspect.signature(theirs).parameters)
    is_waiting = inspect.iscoroutinefunction(theirs) or "Async" in str(inspect.signature(theirs).return_annotation)
    if is_waiting and "timeout_s" not in expected:
        limit = parameters.pop("timeout_s")
        assert (limit.default, limit.kind) == (None, inspect.Parameter.KEYWORD_ONLY)
    assert parameters == expected
    assert not inspect.iscoroutinefunction(ours)
    assert not inspect.isasyncgenfunction(ours)
    assert "Async" not in str(inspect.signature(ours).return_annotation)
    assert "await" not in (ours.__doc__ or "")


def test_the_file_is_what_the_program_writes() -> None:
    """Nobody has edited it, and nobody has changed the async door without it."""
    assert faces.TARGET.read_text(encoding="utf-8") == faces.written(), "run scripts/make-sync"
    assert faces.REST_TARGET.read_text(encoding="utf-8") == faces.rest_written(), "run scripts/make-sync"


def test_the_rest_side_has_the_same_names_and_arguments() -> None:
    """What waits takes a time limit more; what makes one makes one of this door."""
    theirs, ours = (
        {name: getattr(api, name) for name in dir(api) if name == "__init__" or name[0] != "_"}
        for api in (rtc_client.RealtimeApi, sync.RealtimeApi)
    )

    assert theirs.keys() == ours.keys() > {"hangup", "create_client_secret", "beside", "from_env"}
    for name, method in theirs.items():
        parameters = dict(inspect.signature(ours[name]).parameters)
        if inspect.iscoroutinefunction(method):
            assert parameters.pop("timeout_s").default is None
        assert parameters == dict(inspect.signature(method).parameters)
        assert "await" not in (ours[name].__doc__ or "")


class Odd(rtc_client.Call):
    """Has members that no sync method could stand for."""

    async def fine(self, *, timeout_s: float = 1.0) -> int:
        """Return one. Cancelling it does nothing."""
        return int(timeout_s)

    async def chunks(self, first: int, *others: int, **named: int) -> AsyncIterator[int]:
        """Yield numbers."""
        yield first

    def future(self) -> asyncio.Future[int]:
        """Return what is to be awaited."""
        raise NotImplementedError

    @staticmethod
    def loose() -> None:
        """Belong to no call."""

    @property
    def stream(self) -> AsyncIterator[int]:
        """Something to iterate over."""
        raise NotImplementedError

    number = 1


@pytest.mark.parametrize("name", ["future", "loose", "stream", "number"])
def test_a_shape_that_is_not_known_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that would be wrong in the sync door is named."""
    monkeypatch.setattr(faces, "members", lambda: {name: (Odd, vars(Odd)[name])})
    monkeypatch.setattr("rtc_client.call.call.Call", Odd)

    with pytest.raises(faces.UnknownShape, match=f"Call.{name}"):
        faces.written()


def test_a_method_with_a_limit_of_its_own_gets_no_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """And an iterator keeps whatever arguments it takes."""
    monkeypatch.setattr(faces, "members", lambda: {name: (Odd, vars(Odd)[name]) for name in ("fine", "chunks")})
    monkeypatch.setattr("rtc_client.call.call.Call", Odd)

    text = faces.written()

    assert 'def fine(self, *, timeout_s: float = 1.0) -> int:\n        """Return one."""' in text
    assert "return self._wait(None, self._call.fine, timeout_s=timeout_s)" in text
    assert "def chunks(self, first: int, *others: int, timeout_s: float | None = None, **named: int)" in text
    assert "-> Iterator[int]:" in text
    assert "return self._read(timeout_s, self._call.chunks, first, *others, **named)" in text

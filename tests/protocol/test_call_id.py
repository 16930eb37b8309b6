"""The call id in a Location header (protocol.md section 1.4)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client import AnswerInvalid
from rtc_client.protocol.call_id import MAX_CALL_ID_CHARS, call_id_from_location

UUID = "01a1f79c-9739-7cd3-9161-4945a7bc26f1"


@pytest.mark.parametrize(
    ("location", "call_id"),
    [
        ("/v1/realtime/calls/rtc_test123", "rtc_test123"),
        ("rtc_bare", "rtc_bare"),
        ("https://example.test/v1/realtime/calls/calls/rtc_abc/x?a=/rtc_no", "rtc_abc"),
        ("/rtc_first/rtc_last", "rtc_last"),
        ("/rtc_a/", "rtc_a"),
        ("//host.test/calls/rtc_a#rtc_b", "rtc_a"),
        ("rtc_a?x=/rtc_b?y=/rtc_c", "rtc_a"),
        (f"/v1/realtime/calls/{UUID}", UUID),
        (f"/calls/{UUID.replace('-', '').upper()}/hangup", UUID.replace("-", "").upper()),
        ("/calls/rtc_" + "a" * (MAX_CALL_ID_CHARS - 4), "rtc_" + "a" * (MAX_CALL_ID_CHARS - 4)),
        ("/calls/rtc_A-9_z", "rtc_A-9_z"),
    ],
)
def test_every_form_of_location_names_its_call(location: str, call_id: str) -> None:
    """Relative, bare and absolute, with segments behind it and a query: the last id in the path counts."""
    assert call_id_from_location(location) == call_id


@pytest.mark.parametrize(
    "location",
    [
        None, "", "/", "/v1/realtime/calls", "/calls/rtc_", "/calls/RTC_abc", "/calls/call_abc", "?rtc_a", "#rtc_a",
        f"/calls/{UUID}0", f"/calls/{UUID[:-1]}", f"/calls/x{UUID}",
    ],
)  # fmt: skip
def test_location_without_an_id_is_refused(location: str | None) -> None:
    """Nothing is guessed."""
    with pytest.raises(AnswerInvalid):
        call_id_from_location(location)


@pytest.mark.parametrize("evil", ["a%2e%2e", "a&b=c", "a b", "a\r\nx: y", "a.b", "ä", "a;b", "a\\b", "a" * 300, "١"])
def test_id_that_could_change_a_url_is_refused(evil: str) -> None:
    """Anything but letters, digits, `_` and `-`, or an absurd length: refused, also behind a good id."""
    with pytest.raises(AnswerInvalid, match="characters that a call id cannot have"):
        call_id_from_location(f"/rtc_good/rtc_{evil}")


@given(st.text() | st.from_regex(r"(https?://h)?(/(rtc_)?[ -~]*)*(\?[ -~]*)?", fullmatch=True))
def test_whatever_the_header_says_an_id_is_safe_to_write_into_a_url(location: str) -> None:
    """Either there is an id of harmless characters, which really stood in the path, or there is none."""
    try:
        call_id = call_id_from_location(location)
    except AnswerInvalid:
        return

    assert re.fullmatch(r"[A-Za-z0-9_-]{5,256}", call_id)
    assert call_id in re.split(r"[?#]", location)[0].split("/")

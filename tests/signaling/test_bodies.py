"""The bytes of the offer's body, where no recording shows them."""

from __future__ import annotations

from rtc_client.signaling.bodies import json_offer, multipart_offer


def test_boundary_is_never_in_what_it_bounds() -> None:
    """Instructions that hold our boundary, by chance or on purpose, cannot end a part of the form."""
    usual = multipart_offer("v=0\r\n", {})[0].partition("boundary=")[2]

    content_type, body = multipart_offer("v=0\r\n", {"instructions": f"--{usual} --{usual}-"})

    boundary = content_type.partition("boundary=")[2]
    assert boundary != usual
    assert body.count(f"--{boundary}".encode()) == 3


def test_sdp_is_sent_as_it_is() -> None:
    """The SDP goes out verbatim, also one that does not end its last line, or is empty."""
    for sdp in ("v=0\r\n", "v=0", "", "v=0\n\n"):
        assert f"application/sdp\r\n\r\n{sdp}\r\n--".encode() in multipart_offer(sdp, {})[1]
    assert json_offer("v=0\r\n", {"a": "ü"}) == ("application/json", '{"sdp":"v=0\\r\\n","session":{"a":"ü"}}'.encode())

"""A call that breaks no rule so far."""

from __future__ import annotations

from rtc_client.testing import FakeAnswerer
from tests.testing.caller import form, post
from tests.testing.recorded_sdp import SDP_OF_A_RECORDING


async def placed_call(answerer: FakeAnswerer) -> str:
    """Place a call that nobody stands behind; return its id."""
    response = await post(answerer.base_url, *form(SDP_OF_A_RECORDING))
    return response.headers["location"].rpartition("/")[2]

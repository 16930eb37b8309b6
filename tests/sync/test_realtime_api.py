"""Promise: keys are minted and calls ended beside a sync call, or without one, and no thread is left of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from rtc_client import CallConfig, ConfigError, Deadlines, RealtimeSession, RequestRejected, sync
from rtc_client.testing import FakeAnswerer
from tests.sync.conftest import Script
from tests.sync.waiting import until

pytestmark = pytest.mark.real_time("calls of a thread of their own, or of another process")


def test_a_key_is_minted_and_the_call_that_it_places_is_ended(answerer: FakeAnswerer, config: CallConfig) -> None:
    """As the async one does, from any thread; a refusal is raised with its status."""
    with sync.RealtimeApi.beside(config) as api:
        secret = api.create_client_secret(RealtimeSession(instructions="Be brief."), expires_after_s=60)
        with sync.connect(CallConfig(api_key=secret, base_url=config.base_url)) as call, ThreadPoolExecutor(1) as pool:
            assert call.call_id is not None
            pool.submit(api.hangup, call.call_id).result(5)
            result = call.wait_ended(timeout_s=5)
        with answerer.faults.refuse_rest(403), pytest.raises(RequestRejected) as rejected:
            api.create_client_secret(timeout_s=5)
    assert result.end is not None
    assert result.end.by == "server"
    assert rejected.value.status == 403
    assert secret.value.startswith("ek_")


async def test_it_works_where_an_event_loop_runs(config: CallConfig) -> None:
    """As in a cell of Jupyter."""
    with sync.RealtimeApi.beside(config) as api:
        assert api.create_client_secret().value.startswith("ek_")
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_limit_of_the_callers_gives_the_request_up(answerer: FakeAnswerer, config: CallConfig) -> None:
    """The next one is made all the same."""
    with sync.RealtimeApi.beside(config) as api:
        with answerer.faults.hold_rest(), pytest.raises(TimeoutError, match=r"create_client_secret\(\) took longer"):
            api.create_client_secret(timeout_s=0.1)
        assert api.create_client_secret(timeout_s=5).value.startswith("ek_")


def test_it_is_used_in_its_block_and_once(config: CallConfig) -> None:
    """Outside it says so; settings that cannot work are refused when it is made, and no thread is left."""
    api = sync.RealtimeApi(api_key="any-key", base_url=config.base_url, deadlines=Deadlines(answer_s=1))
    with pytest.raises(ConfigError, match="in its block"):
        api.hangup("rtc_1")
    with api:
        pass
    with pytest.raises(ConfigError, match="opened once"):
        api.__enter__()
    with pytest.raises(ConfigError, match="in its block"):
        api.hangup("rtc_1")
    with pytest.raises(ConfigError):
        sync.RealtimeApi(api_key="")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        sync.RealtimeApi.from_env({})
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("rtc-call")])


def test_a_child_process_has_no_part_in_it(script: Callable[[str], Script]) -> None:
    """It is told so; the parent's goes on, and a script that forgets the block ends all the same."""
    running = script("""
import warnings
warnings.simplefilter("ignore")  # Python warns of any fork of a process with threads
api = sync.RealtimeApi.from_env().__enter__()
child = os.fork()
if child == 0:
    try:
        api.create_client_secret()
    except CallClosed as error:
        say(str(error).partition(":")[0])
    sys.exit(7)
os.waitpid(child, 0)
say(api.create_client_secret().value[:3])
""")

    assert running.end() == (0, ["this RealtimeApi belongs to the process that made it", "ek_"], "")

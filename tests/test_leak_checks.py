"""The leak checks of `tests/leaks.py` really catch leaks, and nothing else: they watch over tests written for that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent

WATCHED_TESTS = """
import asyncio
import concurrent.futures
import contextlib
import socket
import threading

import pytest
import pytest_asyncio

kept = []  # what would otherwise be collected, and closed, before anyone could look


async def wait_for_ever():
    await asyncio.Event().wait()


async def test_leaves_a_task():
    kept.append(asyncio.create_task(wait_for_ever(), name="forgotten"))
    await asyncio.sleep(0)


@pytest_asyncio.fixture
async def leaky_fixture():
    kept.append(asyncio.create_task(wait_for_ever(), name="forgotten-by-fixture"))
    yield


async def test_has_a_fixture_that_leaves_a_task(leaky_fixture):
    pass


def test_leaves_a_task_in_asyncio_run():
    async def main():
        kept.append(asyncio.create_task(wait_for_ever(), name="forgotten-by-run"))

    asyncio.run(main())


async def fail():
    raise ValueError("nobody looked")


async def test_never_retrieves_an_exception():
    task = asyncio.create_task(fail())
    await asyncio.sleep(0.01)
    del task


def test_destroys_a_pending_task():
    loop = asyncio.new_event_loop()
    loop.create_task(wait_for_ever())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


async def test_raises_in_a_callback():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)


def test_leaves_a_socket():
    kept.append(socket.create_server(("127.0.0.1", 0)))


async def test_leaves_a_datagram_endpoint():
    loop = asyncio.get_running_loop()
    kept.append(await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0)))


async def test_leaves_a_server():
    kept.append(await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0))


def test_leaves_a_file(tmp_path):
    kept.append((tmp_path / "left-open.txt").open("w"))


def test_leaves_a_thread():
    release = threading.Event()
    threading.Thread(target=release.wait, name="left-running", daemon=True).start()
    kept.append(release)


def test_drops_an_open_socket():
    socket.create_server(("127.0.0.1", 0))


def test_raises_in_del():
    class Bad:
        def __del__(self):
            raise ValueError("in __del__")

    cycle = [Bad()]
    cycle.append(cycle)


def test_raises_in_a_thread():
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()


async def test_never_awaits_a_coroutine():
    wait_for_ever()


async def test_fails_by_itself_and_leaves_a_task():
    kept_by_traceback = asyncio.create_task(fail(), name="of-a-failed-test")
    await asyncio.sleep(0.01)
    raise AssertionError("by itself")


async def test_clean_after_a_failed_one():
    pass


def test_clean():
    pass


async def test_clean_async():
    task = asyncio.create_task(asyncio.sleep(0))
    await task


async def test_clean_with_an_executor_thread():
    assert await asyncio.get_running_loop().run_in_executor(None, lambda: 4) == 4


async def test_clean_though_a_task_is_just_ending():
    async def end_soon():
        for _ in range(3):
            await asyncio.sleep(0)

    kept.append(asyncio.create_task(end_soon()))


async def test_clean_though_a_connection_is_just_closing():
    async def serve(reader, writer):
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.close()
    server.close()


@pytest_asyncio.fixture
async def server():
    async def serve(reader, writer):
        with contextlib.suppress(asyncio.CancelledError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()


async def test_clean_with_a_fixture_that_owns_sockets(server):
    _, writer = await asyncio.open_connection(*server)
    writer.close()
    await writer.wait_closed()


@pytest.fixture(scope="module")
def module_socket():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_clean_with_a_socket_of_the_module(module_socket):
    pass


def test_clean_with_asyncio_run():
    asyncio.run(asyncio.sleep(0))


def test_clean_with_a_pool():
    with concurrent.futures.ThreadPoolExecutor() as pool:
        assert pool.submit(int, "4").result() == 4
"""

CAUGHT = {
    "test_leaves_a_task": "task 'forgotten' still pending: wait_for_ever, at ",
    "test_has_a_fixture_that_leaves_a_task": "task 'forgotten-by-fixture' still pending: wait_for_ever",
    "test_leaves_a_task_in_asyncio_run": "task 'forgotten-by-run' still pending: wait_for_ever",
    "test_never_retrieves_an_exception": "Task exception was never retrieved: ValueError('nobody looked')",
    "test_destroys_a_pending_task": "Task was destroyed but it is pending!",
    "test_raises_in_a_callback": "ZeroDivisionError",
    "test_leaves_a_socket": "socket tcp listening on 127.0.0.1:",
    "test_leaves_a_datagram_endpoint": "socket udp from 127.0.0.1:",
    "test_leaves_a_server": "socket tcp listening on 127.0.0.1:",
    "test_leaves_a_file": "left-open.txt",
    "test_leaves_a_thread": "thread 'left-running'",
    "test_drops_an_open_socket": "ResourceWarning: unclosed <socket",
    "test_raises_in_del": "ValueError: in __del__",
    "test_raises_in_a_thread": "ZeroDivisionError",
    "test_never_awaits_a_coroutine": "coroutine 'wait_for_ever' was never awaited",
}

CLEAN = [line[line.index("test_") : line.index("(")] for line in WATCHED_TESTS.splitlines() if "def test_clean" in line]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What pytest says of each watched test, with this project's settings: nothing for one that passed."""
    folder = tmp_path_factory.mktemp("watched")
    test_file, report = folder / "test_watched.py", folder / "report.xml"
    test_file.write_text(WATCHED_TESTS)
    settings = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-p", "no:cacheprovider"]

    finished = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, "-p", "tests.leaks", f"--junitxml={report}", str(test_file)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert report.exists(), finished.stdout + finished.stderr
    said: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        texts = [element.get("message", "") + (element.text or "") for element in case]
        said[case.get("name", "")] = said.get(case.get("name", ""), "") + "".join(texts)
    return said


@pytest.mark.parametrize("test", CAUGHT)
def test_leak_is_caught_and_named(test: str, complaints: dict[str, str]) -> None:
    """Each kind of leak fails the test that caused it, by a message that names the thing."""
    assert CAUGHT[test] in complaints[test]


@pytest.mark.parametrize("test", CLEAN)
def test_clean_test_passes(test: str, complaints: dict[str, str]) -> None:
    """A test that puts away what it took is left in peace, whatever went wrong in the tests before it."""
    assert complaints[test] == ""


def test_failed_test_is_blamed_for_its_failure_only(complaints: dict[str, str]) -> None:
    """A test that fails by itself is not also accused of what its traceback keeps alive."""
    complaint = complaints["test_fails_by_itself_and_leaves_a_task"]

    assert "by itself" in complaint
    assert "left something behind" not in complaint


def test_every_watched_test_is_expected_to_do_something(complaints: dict[str, str]) -> None:
    """No watched test was forgotten, and none was renamed without its expectation."""
    assert complaints.keys() == {*CAUGHT, *CLEAN, "test_fails_by_itself_and_leaves_a_task"}

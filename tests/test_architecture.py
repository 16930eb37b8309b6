"""The rooms keep to their floor plan: who imports whom, how long a file may be, and what every module has."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rtc_client"
MODULES = sorted(PACKAGE.rglob("*.py"))
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

LINT = "import sys, importlinter.cli; sys.exit(importlinter.cli.lint_imports(no_cache=True, no_logo=True))"

LONG_FILE_LINES = 600


def module_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lint_imports(folder: Path) -> tuple[int, str]:
    """Run the contracts of `folder/pyproject.toml` on the package beside it; return the exit status and the text."""
    finished = subprocess.run(
        [sys.executable, "-c", LINT],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.returncode, finished.stdout + finished.stderr


def broken_contracts(output: str) -> set[str]:
    """Return the ids of the contracts that the linter calls broken."""
    return {contract["id"] for contract in CONTRACTS if f"{contract['name']} BROKEN" in output}


def test_every_import_keeps_to_the_contracts() -> None:
    """The package imports only downwards, and each third party only where it belongs."""
    status, output = lint_imports(ROOT)

    assert status == 0, output
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken" in output


# --- that the contracts can fail -------------------------------------------------------------------------------------

SUB_ROOMS = [
    f"{container.removeprefix('rtc_client.')}.{name}"
    for contract in CONTRACTS
    for container in contract.get("containers", [])
    if container != "rtc_client"
    for layer in contract["layers"]
    for name in layer.split(" | ")
    if name != "pytest_plugin"
]
"""What the contracts inside a room name."""

EMPTY_HOUSE = [
    *(f"{room}.__init__" for room in ("audio", "protocol", "call", "testing", "cli")),
    "__init__",
    "errors",
    "clock",
    "config",
    "keys",
    "tls",
    *(
        f"{room}.{file}"
        for room in (
            "cassette",
            "signaling",
            "sideband",
            "peer",
            "delegates",
            "sync",
            *SUB_ROOMS,
        )
        for file in ("__init__", "a", "b")
    ),
    "audio.devices.portaudio",
    "delegates.openai_responses",
    "testing.pytest_plugin",
]


@dataclass(frozen=True)
class Trespass:
    """Imports, by the module that they are in, and the contracts that they break."""

    imports: dict[str, str]
    breaks: set[str]


ALLOWED = {
    "__init__": "from rtc_client.call.engine.a import something",
    "errors": "import enum",
    "cli.commands.a": "import typer, rich; from rtc_client.testing.calls import a; from rtc_client.call import engine",
    "sync.a": "from rtc_client.call.engine import a; from rtc_client import config",
    "call.engine.a": "from rtc_client.peer import a; from rtc_client.signaling import a",
    "testing.calls.a": "import aiohttp, aiortc, numpy, av; from rtc_client.audio.codecs import a",
    "testing.pytest_plugin": "import pytest, pytest_asyncio; from rtc_client import config",
    "signaling.__init__": "import httpx",
    "signaling.a": "import httpx; from rtc_client import config",
    "sideband.a": "import websockets.asyncio.client; from rtc_client.protocol.wire import a",
    "delegates.openai_responses": "import openai; from rtc_client.protocol.wire import a",
    "peer.a": "import aiortc, aioice, pylibsrtp, numpy, av",
    "audio.codecs.a": "import numpy, av; from rtc_client import clock",
    "audio.devices.portaudio": "import sounddevice",
    "audio.echo.canceller": "import pywebrtc_audio",
    "protocol.wire.a": "import msgspec",
    "tls": "import certifi",
    "config": "from rtc_client.protocol.wire import a",
}

TRESPASSES = {
    "upwards": Trespass({"protocol.wire.a": "from rtc_client import config"}, {"rooms"}),
    "upwards-from-the-bottom": Trespass({"errors": "from rtc_client import clock"}, {"rooms"}),
    "sideways": Trespass({"signaling.a": "from rtc_client.peer import a"}, {"rooms"}),
    "sideways-late": Trespass({"audio.codecs.a": "def f():\n    from rtc_client.protocol.wire import a"}, {"rooms"}),
    "a-room-not-in-the-plan": Trespass({"utils": ""}, {"rooms"}),
    "the-public-names": Trespass({"call.engine.a": "from rtc_client import CallConfig"}, {"facade"}),
    "a-cycle": Trespass(
        {
            "audio.codecs.a": "from rtc_client.audio.codecs import b",
            "audio.codecs.b": "from rtc_client.audio.codecs import a",
        },
        {"cycles"},
    ),
    "the-fake-uses-the-codec": Trespass({"testing.calls.a": "from rtc_client.protocol.wire import a"}, {"fake"}),
    "the-fake-uses-the-config": Trespass({"testing.calls.a": "import rtc_client.config"}, {"fake"}),
    "the-plugin-uses-a-call": Trespass({"testing.pytest_plugin": "from rtc_client.call.engine import a"}, {"fake"}),
    "the-fake-uses-the-peer": Trespass({"testing.calls.b": "from rtc_client.peer.a import x"}, {"fake"}),
    "httpx-in-a-call": Trespass({"call.engine.a": "import httpx"}, {"httpx"}),
    "websockets-in-the-fake": Trespass({"testing.calls.a": "import websockets"}, {"websockets"}),
    "aiortc-in-audio": Trespass({"audio.codecs.a": "from aiortc import MediaStreamTrack"}, {"aiortc"}),
    "aioice-in-a-call": Trespass({"call.__init__": "import aioice"}, {"aiortc"}),
    "pylibsrtp-in-the-sideband": Trespass({"sideband.a": "import pylibsrtp"}, {"aiortc"}),
    "aiohttp-in-signaling": Trespass({"signaling.a": "import aiohttp"}, {"aiohttp"}),
    "typer-in-the-config": Trespass({"config": "import typer"}, {"typer"}),
    "rich-in-a-call": Trespass({"call.engine.a": "from rich import print"}, {"typer"}),
    "numpy-in-the-protocol": Trespass({"protocol.wire.a": "import numpy as np"}, {"samples"}),
    "av-in-the-command-line": Trespass({"cli.commands.a": "import av"}, {"samples"}),
    "numpy-beside-the-public-names": Trespass({"__init__": "import numpy"}, {"samples"}),
    "msgspec-in-the-sideband": Trespass({"sideband.a": "import msgspec"}, {"msgspec"}),
    "openai-in-another-delegate": Trespass({"delegates.a": "from openai import AsyncOpenAI"}, {"openai"}),
    "a-delegate-uses-a-call": Trespass({"delegates.a": "from rtc_client.call.engine import a"}, {"rooms"}),
    "the-fake-uses-a-delegate": Trespass({"testing.calls.a": "from rtc_client.delegates import a"}, {"fake"}),
    "sound-hardware-in-another-file": Trespass({"audio.codecs.a": "import sounddevice"}, {"sounddevice"}),
    "authorities-in-another-file": Trespass({"signaling.a": "import certifi"}, {"certifi"}),
    "audio-processing-in-another-file": Trespass({"audio.codecs.a": "import pywebrtc_audio"}, {"pywebrtc"}),
    "a-codec-uses-a-device": Trespass({"audio.codecs.a": "from rtc_client.audio.devices import a"}, {"audio"}),
    "the-vocabulary-uses-the-transcript": Trespass(
        {"protocol.wire.a": "from rtc_client.protocol.transcript import a"}, {"protocol"}
    ),
    "media-use-tools": Trespass({"call.media.a": "from rtc_client.call.tools import a"}, {"call"}),
    "plain-values-use-the-server": Trespass({"testing.wire.a": "from rtc_client.testing.server import a"}, {"testing"}),
    "the-console-uses-a-verb": Trespass({"cli.console.a": "from rtc_client.cli.commands import a"}, {"cli"}),
    "a-file-outside-the-sub-rooms": Trespass({"audio.utils": ""}, {"audio"}),
    "pytest-in-the-fake": Trespass({"testing.calls.a": "import pytest"}, {"pytest"}),
}


def build_house(folder: Path, imports: dict[str, str]) -> Path:
    """Build a package of empty rooms with these imports, under the project's own contracts."""
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for module in {*EMPTY_HOUSE, *imports}:
        path = folder / "rtc_client" / (module.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(imports.get(module, "") + "\n")
    return folder


def test_what_the_plan_allows_breaks_nothing(tmp_path: Path) -> None:
    """The contracts are silent about a package in which every room uses all that it may."""
    status, output = lint_imports(build_house(tmp_path, ALLOWED))

    assert status == 0, output
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken" in output


@pytest.mark.parametrize("trespass", TRESPASSES.values(), ids=TRESPASSES.keys())
def test_import_in_the_wrong_room_is_caught(trespass: Trespass, tmp_path: Path) -> None:
    """One import in the wrong room breaks its contract, and no other."""
    status, output = lint_imports(build_house(tmp_path, trespass.imports))

    assert status == 1, output
    if trespass.imports.keys() <= {*EMPTY_HOUSE}:
        assert broken_contracts(output) == trespass.breaks, output
    else:  # a room that is not in the plan: the linter stops there
        assert "utils" in output


def test_every_contract_has_been_broken_once() -> None:
    """No contract is there that has not been shown to fail."""
    assert {contract["id"] for contract in CONTRACTS} == set().union(*(t.breaks for t in TRESPASSES.values()))


def test_every_third_party_has_a_contract() -> None:
    """A library that no contract names may be imported nowhere: whoever brings one says which room it is for."""
    graph = grimp.build_graph("rtc_client", include_external_packages=True, cache_dir=None)
    named = {module for contract in CONTRACTS for module in contract.get("forbidden_modules", [])}

    third_parties = {module for module in graph.modules if graph.is_module_squashed(module)} - sys.stdlib_module_names

    assert third_parties - named == set()


# --- what every module has -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=module_id)
def test_module_says_what_lives_there(path: Path) -> None:
    """Every file opens with a sentence on what it holds."""
    docstring = ast.get_docstring(ast.parse(path.read_text()))

    assert docstring, f"{module_id(path)} has no docstring"
    assert docstring.split("\n\n")[0].rstrip().endswith((".", ":", "!")), f"{module_id(path)} opens without a sentence"


@pytest.mark.parametrize("path", MODULES, ids=module_id)
def test_long_file_says_why(path: Path) -> None:
    """A file of more than 600 lines gives the reason in its docstring, in a sentence with "600 lines"."""
    text = path.read_text()
    n_lines = len(text.splitlines())

    if n_lines > LONG_FILE_LINES:
        docstring = ast.get_docstring(ast.parse(text)) or ""
        assert re.search(r"600\s+lines", docstring), f"{module_id(path)} has {n_lines} lines, and no word on why"


def test_no_public_name_means_two_things() -> None:
    """What `rtc_client` exports is exported by `rtc_client.testing` under the same name only if it is the same."""
    package, testing = importlib.import_module("rtc_client"), importlib.import_module("rtc_client.testing")

    assert set(package.__all__) & set(testing.__all__) == set()


def test_public_names_are_there() -> None:
    """Everything in `rtc_client.__all__` can be imported, has a description, and is named once."""
    package = importlib.import_module("rtc_client")
    names = package.__all__

    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(package, name)] == []
    assert [name for name in names if callable(getattr(package, name)) and not getattr(package, name).__doc__] == []
    assert set(names) <= set(dir(package))


@pytest.mark.parametrize("arguments", [[], ["call"], ["demo"], ["answer"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    """Asking the command for help loads neither the WebRTC stack, nor numpy, nor an HTTP library."""
    heavy = ("aiortc", "aioice", "av", "numpy", "aiohttp", "httpx", "websockets", "pytest")
    script = f"""
import sys
from rtc_client.cli.main import main
sys.argv = ["rtc-client", *{arguments!r}, "--help"]
try:
    status = main()
except SystemExit as end:
    status = end.code
print("status", status or 0)
print("loaded", [name for name in {heavy!r} if name in sys.modules])
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert finished.stdout.splitlines()[-2:] == ["status 0", "loaded []"], finished.stdout + finished.stderr


def test_the_plugin_makes_no_start_of_pytest_slower() -> None:
    """pytest loads our plugin in every project that has us installed: it imports nothing that pytest has not."""
    script = """
import sys
import pytest
before = set(sys.modules)
import rtc_client.testing.pytest_plugin
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert finished.stdout.strip() == "['rtc_client']"

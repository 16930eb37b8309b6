"""The pytest plugin: fixtures of fake answerers, and a report of them for a failed test.

pytest imports this file in every project that has the package installed, so nothing heavy is imported before a fixture
is used. The answerers of a test live in the loop that the test itself runs in, whichever plugin runs it and whatever
its scope: a fixture of a fixed loop scope would serve on a loop that stands still.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest

from rtc_client.testing.saved_audio import SavedAudio, failures_kept_on

if TYPE_CHECKING:
    import asyncio

    from rtc_client.config import CallConfig
    from rtc_client.testing.answerer import FakeAnswerer

LOOP_SCOPES: Final = ("function", "class", "module", "package", "session")
LINGER_S: Final = 0.5
"""How long a call of `call_config` goes on once its source is over; a test does not wait for more."""

_OPTION: Final = "answerer_audio"
_MAX_NAME: Final = 100


class Stage:
    """The answerers of one test, in the loop of that test."""

    def __init__(self, loop: asyncio.AbstractEventLoop, shelf: SavedAudio, folder: Path) -> None:
        """`folder` is that of the test, where files of scenarios are looked for."""
        self.has_failed = False
        """Whether the test has failed already, so that nothing more needs to be found."""
        self._loop, self._shelf, self._folder = loop, shelf, folder
        self._answerers: list[FakeAnswerer] = []
        self._judged: list[FakeAnswerer] = []
        """Of which violations fail the test."""
        self._checked: list[FakeAnswerer] = []
        """Of which scenarios that were not met fail the test."""
        self._is_told = self._has_blamed = False

    async def open(self, *, allow_violations: bool = False, **arguments: Any) -> FakeAnswerer:
        """Start an answerer. What its clients do against the protocol fails the test, unless that is allowed.

        A `lenient` answerer is meant for clients of other dialects, so there it is. A `scenario` may be the path of a
        file, from the folder of the test.

        Raises:
            TypeError: If an argument is not one of `FakeAnswerer`.
            ScenarioInvalid: If the file holds no scenario.
        """
        from rtc_client.testing.answerer import FakeAnswerer
        from rtc_client.testing.scenario.toml_file import load_scenario

        if isinstance(path := arguments.get("scenario"), str | Path):
            arguments["scenario"] = load_scenario(self._folder / path)
        answerer = await FakeAnswerer(**arguments).__aenter__()
        self._answerers.append(answerer)
        if not (allow_violations or arguments.get("lenient")):
            self._judged.append(answerer)
        if arguments.get("check_on_exit", True):
            self._checked.append(answerer)
        return answerer

    def open_now(self, arguments: dict[str, Any]) -> FakeAnswerer:
        """Start an answerer while the loop stands still."""
        return self._loop.run_until_complete(self.open(**arguments))

    def judge(self, *, is_over: bool) -> None:
        """Fail the test, once, if a client broke the protocol, or did not meet a scenario as far as that is over."""
        if self.has_failed:
            return
        from rtc_client.testing.failure_report import scenario_text, violations_text

        violations = [one for answerer in self._judged for one in answerer.violations]
        unmet = [text for answerer in self._checked if (text := scenario_text(answerer, is_over=is_over))]
        self.has_failed = bool(violations or unmet)
        self._has_blamed = bool(violations)
        if violations:
            pytest.fail(
                f"the client broke the protocol:\n{violations_text(violations)}\n"
                "(allow_violations=True lets them be, lenient=True is for clients of other dialects)",
                pytrace=False,
            )
        if unmet:
            pytest.fail("\n".join(unmet), pytrace=False)

    def sections(self) -> list[tuple[str, str]]:
        """Return what to tell of the failed test; once."""
        if self._is_told or not self._answerers:
            return []
        self._is_told = True
        try:
            from rtc_client.testing.failure_report import sections

            return sections(self._answerers, self._shelf, violations=not self._has_blamed)
        except Exception as error:  # noqa: BLE001 - in a hook of pytest it would end the whole run
            return [("fake answerer", f"nothing can be told of it: {error!r}")]

    async def aclose(self) -> None:
        """Close all answerers; then fail the test if they have seen what they must not."""
        import asyncio

        await asyncio.gather(*(answerer.aclose() for answerer in self._answerers))
        self.judge(is_over=True)


_stage = pytest.StashKey[Stage]()
_shelf = pytest.StashKey[SavedAudio]()
_folder = pytest.StashKey[Callable[[], Path]]()


# --- fixtures --------------------------------------------------------------------------------------------------------


@pytest.fixture
def answerer(request: pytest.FixtureRequest) -> FakeAnswerer:
    """A started FakeAnswerer, as `@pytest.mark.answerer(...)` wants it; violations of the protocol fail the test."""
    return _stage_of(request).open_now(_marked(request.node, "answerer"))


@pytest.fixture
def answerer_factory(request: pytest.FixtureRequest) -> Callable[..., Awaitable[FakeAnswerer]]:
    """`await answerer_factory(...)` starts one more FakeAnswerer, of the same arguments as the marker."""
    return _stage_of(request).open


@pytest.fixture
def call_config(request: pytest.FixtureRequest, answerer: FakeAnswerer) -> CallConfig:
    """A CallConfig that calls `answerer`, with the settings of `@pytest.mark.call_config(...)`."""
    from rtc_client.config import CallConfig

    ours: dict[str, Any] = {"api_key": "any-key", "base_url": answerer.base_url, "linger_s": LINGER_S}
    return CallConfig(**ours | _marked(request.node, "call_config"))


def _stage_of(request: pytest.FixtureRequest) -> Stage:
    """Return the stage in the loop of the test.

    Raises:
        pytest.fail.Exception: If the test has no loop, or something is not installed.
    """
    node: pytest.Item = request.node
    try:
        import rtc_client.testing.answerer  # noqa: F401
    except ImportError as error:
        _refuse(f"a fake answerer needs more than is installed ({error.name}): pip install 'rtc-client[testing]'")
    plugins = node.config.pluginmanager
    if (marker := node.get_closest_marker("asyncio")) is not None and plugins.hasplugin(_stages_name("asyncio")):
        scope = marker.kwargs.get("loop_scope") or marker.kwargs.get("scope")
        scope = scope or node.config.getini("asyncio_default_test_loop_scope") or "function"
        stage: Stage = request.getfixturevalue(f"_answerer_stage_on_{scope}_loop")
    elif node.get_closest_marker("anyio") is not None and plugins.hasplugin(_stages_name("anyio")):
        stage = request.getfixturevalue("_answerer_stage_on_anyio")
    else:
        _refuse(
            "a fake answerer serves in the event loop of its test, and this test has none: make it `async def`, "
            "and mark it @pytest.mark.asyncio (or set asyncio_mode=auto)"
        )
    return stage


def _marked(node: pytest.Item, name: str) -> dict[str, Any]:
    """Return the arguments of all markers of a test; those closer to it win."""
    arguments: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers(name))):
        if marker.args:
            _refuse(f"@pytest.mark.{name} takes keyword arguments only")
        for one, other in (("script", "scenario"), ("scenario", "script")):
            if one in marker.kwargs:
                arguments.pop(other, None)  # an answerer has one of them
        arguments |= marker.kwargs
    return arguments


def _refuse(message: str) -> NoReturn:
    pytest.fail(message, pytrace=False)


# --- the stage, in whichever loop ------------------------------------------------------------------------------------


def _new_stage_fixture() -> Callable[[pytest.FixtureRequest, pytest.TempPathFactory], AsyncIterator[Stage]]:
    # A function of its own each time: pytest-asyncio notes the loop's scope on it.
    async def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
        import asyncio

        item = request.node
        item.stash[_folder] = lambda: tmp_path_factory.mktemp("answerer")
        item.stash[_stage] = opened = Stage(asyncio.get_running_loop(), _shelf_of(item), item.path.parent)
        yield opened
        await opened.aclose()

    return stage


def _stages_name(plugin: str) -> str:
    return f"rtc_client_stages_of_{plugin}"


def pytest_configure(config: pytest.Config) -> None:
    """Announce the markers, and make the fixtures that need the plugin which runs coroutines."""
    config.addinivalue_line(
        "markers",
        "answerer(script=..., scenario=..., relay=..., lenient=False, allow_violations=False, ...): how the fixture "
        "`answerer` is made, by the arguments of FakeAnswerer; violations of the protocol fail the test unless one of "
        "the last two is True",
    )
    config.addinivalue_line("markers", "call_config(**settings): settings of the fixture `call_config`")
    # Only where they are at work: importing them would cost every start of pytest.
    if _is_loaded(config, "pytest_asyncio.plugin"):
        import pytest_asyncio

        stages = ModuleType(_stages_name("asyncio"))
        for scope in LOOP_SCOPES:
            made = pytest_asyncio.fixture(loop_scope=scope)(_new_stage_fixture())
            setattr(stages, f"_answerer_stage_on_{scope}_loop", made)
        config.pluginmanager.register(stages, stages.__name__)
    if _is_loaded(config, "anyio.pytest_plugin"):
        stages = ModuleType(_stages_name("anyio"))
        stages._answerer_stage_on_anyio = pytest.fixture(_new_stage_fixture())  # type: ignore[attr-defined]
        config.pluginmanager.register(stages, stages.__name__)


def _is_loaded(config: pytest.Config, module: str) -> bool:
    return module in sys.modules and config.pluginmanager.is_registered(sys.modules[module])


# --- failed tests ----------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the place for sound."""
    what = "keep the sound of failed tests there, in a folder for each test"
    group = parser.getgroup("rtc-client", "fake answerer for voice calls")
    group.addoption("--answerer-audio", dest=_OPTION, metavar="DIR", default=None, help=what)
    parser.addini(_OPTION, f"{what} (default: in pytest's temporary folder, for tests with a fixture of an answerer)")


def _shelf_of(item: pytest.Item) -> SavedAudio:
    if _shelf not in item.stash:
        item.stash[_shelf] = SavedAudio(lambda: _find_folder(item))
    return item.stash[_shelf]


def _find_folder(item: pytest.Item) -> Path | None:
    if chosen := item.config.getoption(_OPTION) or item.config.getini(_OPTION):
        name = re.sub(r"[^\w.-]+", "-", item.nodeid)[-_MAX_NAME:]
        folder = Path(item.config.rootpath / chosen / name)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    make = item.stash.get(_folder, None)
    return None if make is None else make()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let assertions on sound keep what failed them."""
    with failures_kept_on(_shelf_of(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the test itself, rather than its end, for what a client did against the protocol."""
    outcome = yield
    if (stage := item.stash.get(_stage, None)) is not None:
        stage.judge(is_over=False)
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell a failed test what its answerers have seen."""
    report = yield
    stage = item.stash.get(_stage, None)
    if stage is not None and call.excinfo is not None:
        stage.has_failed = True
        if report.failed:
            report.sections += stage.sections()
    return report

"""Promises to users: a project of its own that installs our wheel gets the plugin, and its tests pass.

The wheel is built here and installed into a fresh environment, by pip and without a network. What the wheel depends on
is borrowed from the environment that runs this test: only rtc_client itself is not.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.real_time("runs the tests of another project, which place calls")

ROOT: Final = Path(__file__).parent.parent.parent
SAMPLE: Final = ROOT / "tests/sample_project"
LIMIT_S: Final = 50

NEEDED: Final = ("pip", "hatchling")


@dataclass(frozen=True)
class Project:
    """The sample project in a folder of its own, and the Python of its environment."""

    folder: Path
    python: Path

    def run(self, *command: str | Path) -> str:
        """Run a module of its environment to a good end, and return what it said."""
        return run(self.folder, self.python, "-m", *command)


def run(folder: Path, *command: str | Path) -> str:
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV", "PYTHON"))}
    finished = subprocess.run(
        command, cwd=folder, env=settings, capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The sample project with our wheel installed."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        pytest.skip(f"no wheel can be built here without {', '.join(missing)}: pip install them (group dev)")
    folder = tmp_path_factory.mktemp("sample")
    # From a copy: a build leaves nothing beside the source, and takes nothing that lies about there.
    source = folder / "source"
    source.mkdir()
    shutil.copytree(ROOT / "rtc_client", source / "rtc_client", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(folder, *pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source)
    (wheel,) = folder.glob("rtc_client-*.whl")
    shutil.rmtree(source)
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv/bin/python"
    run(folder, *pip, "--python", python, "install", "--no-deps", "--no-index", wheel)
    (packages,) = (folder / "venv/lib").glob("python*/site-packages")
    # A plain path: the .pth files beside what is borrowed are not read, and so our own source is not found by it.
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    shutil.copytree(SAMPLE, folder / "voicemail", ignore=shutil.ignore_patterns("__pycache__"))
    return Project(folder / "voicemail", python)


def test_the_tests_of_a_project_with_our_wheel_pass(project: Project) -> None:
    """Fixtures, markers and assertions are there by installing the wheel, for parallel workers too."""
    where = run(project.folder, project.python, "-c", "import rtc_client; print(rtc_client.__file__)")
    assert Path(where.strip()).is_relative_to(project.folder.parent / "venv")

    said = project.run("pytest", "-p", "no:cacheprovider", "-n", "2", "--basetemp", project.folder.parent / "tmp")

    assert "7 passed" in said, said


def test_the_plugin_is_shown_with_what_it_offers(project: Project) -> None:
    """pytest names the plugin, its fixtures, its markers and its option."""
    said = project.run("pytest", "--fixtures", "--collect-only")

    assert "rtc-client-0.1.0" in said.partition("collected")[0], said
    for name in ("answerer -- ", "answerer_factory -- ", "call_config -- "):
        assert f"\n{name}" in said
    said = project.run("pytest", "--markers")
    assert "@pytest.mark.answerer(script=..., " in said
    assert "@pytest.mark.call_config(**settings)" in said
    assert "--answerer-audio=DIR" in project.run("pytest", "--help")

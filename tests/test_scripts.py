"""How the scripts keep their .venv: set up once, healed when it is not whole, refused in one line when it cannot be.

A stand-in for Python, a few lines of shell, keeps account of what was asked of it, so nothing is downloaded here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

STAND_IN = r"""#!/usr/bin/env bash
# Plays `python` and `python -m venv`, `python -m pip`; tells $LOG what was asked. STAND_IN_* say how it behaves.
bin=$(dirname -- "$0")
case "$*" in
    *base_prefix*) echo "$(cat "$bin/version") /stand-in" ;;
    *_base_executable*) echo "$BASE_PYTHON" ;;
    *'import ensurepip, venv'*) exit "${STAND_IN_LACKS_VENV:-0}" ;;
    *hashlib*) sha256sum <"${!#}" ;;
    *'-m venv '*)
        echo venv >>"$LOG"
        mkdir -p "${!#}/bin"
        cp -- "$0" "$bin/version" "${!#}/bin/"
        mv -- "${!#}/bin/$(basename -- "$0")" "${!#}/bin/python"
        ;;
    *'-m pip '*)
        all=$*
        echo "${all#*--quiet }" >>"$LOG"
        if [ -n "${STAND_IN_PIP_IS_KILLED:-}" ]; then kill -KILL $$; fi
        if [ -n "${STAND_IN_PIP_FAILS:-}" ]; then echo 'no such package'; exit 1; fi
        echo 'WARNING: chatter' >&2
        printf '#!/bin/sh\necho "called: $*"\n' >"$bin/rtc-client"
        chmod +x "$bin/rtc-client"
        ;;
    *) echo "called: $*" ;;
esac
"""


class Project:
    """A project folder with the scripts, a stand-in for Python, and what became of both."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a project"
        self._tools = folder / "tools"
        self._log = folder / "log"
        (self.root / "scripts").mkdir(parents=True)
        for name in ("_venv", "demo", "test", "check", "bench", "docs"):
            shutil.copy(ROOT / "scripts" / name, self.root / "scripts")
        shutil.copy(ROOT / "pyproject.toml", self.root)
        self.python = self.add_python("python3.12", "3.12")

    def add_python(self, name: str, version: str) -> Path:
        """Put a stand-in of this version into a folder of its own."""
        folder = self._tools / version
        folder.mkdir(parents=True, exist_ok=True)
        python = folder / name
        python.write_text(STAND_IN)
        python.chmod(0o755)
        (folder / "version").write_text(version)
        return python

    def start(self, script: str, *arguments: str, python: Path | None = None, **env: str) -> subprocess.Popen[str]:
        base = python or self.python
        return subprocess.Popen(
            [self.root / "scripts" / script, *arguments],
            cwd="/",
            env=os.environ | {"PYTHON": str(base), "BASE_PYTHON": str(base), "LOG": str(self._log)} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *arguments: str, python: Path | None = None, **env: str) -> tuple[int, str, str]:
        """Run a script from another folder; return the exit status, stdout and stderr."""
        process = self.start(script, *arguments, python=python, **env)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    def take_log(self) -> list[str]:
        """Return what was asked of Python since the last look: `venv`, or the arguments of pip."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        self._log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_first_run_sets_up_and_the_second_goes_straight_on(project: Project) -> None:
    """The demo installs the project with its testing extra once, without the tools, and says so in one line."""
    status, out, err = project.run("demo", "--quiet", "a b")

    assert (status, out) == (0, "called: demo --quiet a b\n")
    assert err == "setting up .venv (once, about a minute)…\n"
    assert project.take_log() == ["venv", f"--editable {project.root}[testing]"]

    begun_s = time.monotonic()
    assert project.run("demo") == (0, "called: demo\n", "")
    assert time.monotonic() - begun_s < 1.0
    assert project.take_log() == []


def test_tests_add_the_tools_without_touching_the_project(project: Project) -> None:
    """After a demo, the tests install the dev group only; a demo after that installs nothing."""
    project.run("demo")
    project.take_log()

    status, out, _ = project.run("test", "-k", "foo")

    assert (status, out) == (0, "called: -m pytest -k foo\n")
    assert project.take_log() == ["pip>=25.1", f"--group {project.root}/pyproject.toml:dev"]
    assert project.run("demo")[0] == 0
    assert project.take_log() == []


def test_benchmarks_add_what_they_need_and_the_tools_stay_out(project: Project) -> None:
    """A benchmark installs its own groups once; the scores that need a compiler are a group of their own."""
    status, out, _ = project.run("bench", "media", "--json")

    assert (status, out) == (0, "called: -m tests.bench media --json\n")
    groups = [line for line in project.take_log() if line.startswith("--group")]
    assert groups == [f"--group {project.root}/pyproject.toml:{name}" for name in ("bench", "bench-sound")]
    assert project.run("bench", "floor") == (0, "called: -m tests.bench floor\n", "")
    assert project.take_log() == []


def test_the_documentation_installs_a_group_of_its_own(project: Project) -> None:
    """It is built from where its settings are, and where it is read is said."""
    status, out, err = project.run("docs", "--dirty")

    assert (status, err) == (0, "setting up .venv (once, about a minute)…\n")
    assert out.splitlines() == [
        "called: -m mkdocs build --config-file docs/mkdocs.yml --dirty",
        f"file://{project.root}/build/docs/index.html",
    ]
    assert f"--group {project.root}/pyproject.toml:docs" in project.take_log()


def test_benchmarks_run_without_the_scores_that_cannot_be_installed(project: Project) -> None:
    """Where pesq cannot be built, that is said in one line, and everything else is measured."""
    project.run("bench")
    (project.root / ".venv/.finished-bench-sound").unlink()

    status, out, err = project.run("bench", "loss", STAND_IN_PIP_FAILS="1")

    assert (status, out) == (0, "called: -m tests.bench loss\n")
    assert len(err.splitlines()) == 1
    assert "pesq" in err


def test_changed_project_file_is_installed_again(project: Project) -> None:
    """A new dependency arrives with the next run, in the same .venv."""
    project.run("demo")
    project.take_log()
    with (project.root / "pyproject.toml").open("a") as file:
        file.write("# changed\n")

    status, _, err = project.run("demo")

    assert (status, err) == (0, "bringing .venv up to date…\n")
    assert project.take_log() == [f"--editable {project.root}[testing]"]


def test_failed_set_up_shows_why_and_is_taken_up_again(project: Project) -> None:
    """What pip said is shown when it failed, and the next run does not take the rest for a .venv that is finished."""
    status, out, err = project.run("demo", STAND_IN_PIP_FAILS="1")

    assert (status, out) == (1, "")
    assert "no such package" in err
    assert "setting up .venv failed" in err
    project.take_log()

    assert project.run("demo")[0] == 0
    assert project.take_log() == [f"--editable {project.root}[testing]"]


def test_set_up_that_was_killed_is_begun_anew(project: Project) -> None:
    """Packages that pip had half unpacked are not built upon."""
    assert project.run("demo", STAND_IN_PIP_IS_KILLED="1")[0] != 0
    project.take_log()

    assert project.run("demo")[0] == 0
    assert project.take_log() == ["venv", f"--editable {project.root}[testing]"]


@pytest.mark.parametrize("remains", ["nothing", "no-python", "broken-python", "of-another-place", "somebody-else's"])
def test_venv_that_is_not_whole_is_made_anew(remains: str, project: Project) -> None:
    """Whatever is in the way of a working .venv is replaced without a question."""
    venv = project.root / ".venv"
    project.run("demo")
    project.take_log()
    if remains == "nothing":
        shutil.rmtree(venv)
        venv.mkdir()
    elif remains == "no-python":
        (venv / "bin/python").unlink()
    elif remains == "broken-python":
        (venv / "bin/python").write_text("#!/nonexistent\n")
    elif remains == "of-another-place":
        project.root = project.root.rename(project.root.with_name("moved"))
    else:
        (venv / ".made").unlink()
        (venv / ".finished-demo").unlink()

    assert project.run("demo")[0] == 0

    assert project.take_log() == ["venv", f"--editable {project.root}[testing]"]


def test_another_python_makes_another_venv(project: Project) -> None:
    """Asking for another version replaces the .venv; asking for none keeps the one that is there."""
    project.run("demo")
    project.take_log()

    assert project.run("demo", python=project.add_python("python3.13", "3.13"))[0] == 0
    assert project.take_log()[0] == "venv"
    assert project.run("demo", PYTHON="")[0] == 0
    assert project.take_log() == []


def test_two_scripts_at_once_set_up_once(project: Project) -> None:
    """The second waits for the first, and then has nothing left to do."""
    processes = [project.start("demo", "one"), project.start("demo", "two")]

    ends = [(process.communicate(timeout=30)[0], process.returncode) for process in processes]

    assert ends == [("called: demo one\n", 0), ("called: demo two\n", 0)]
    assert project.take_log() == ["venv", f"--editable {project.root}[testing]"]


@pytest.mark.parametrize("script", ["demo", "test", "check", "bench"])
@pytest.mark.parametrize(
    ("version", "lacks", "words"),
    [
        ("3.9", {}, "Python 3.11 or newer is needed (found 3.9 as "),
        ("2.7", {}, "Python 3.11 or newer is needed (found 2.7 as "),
        ("not a version", {}, "is not a Python that runs"),
        ("3.12", {"STAND_IN_LACKS_VENV": "1"}, "sudo apt install python3.12-venv"),
        ("3.12", {"PYTHON": "/nonexistent/python"}, "PYTHON=/nonexistent/python is not a Python that runs"),
    ],
)
def test_machine_that_cannot_is_told_in_one_line(
    script: str, version: str, lacks: dict[str, str], words: str, project: Project
) -> None:
    """A Python that is too old, missing, or without venv ends the script at once, with status 2 and one line."""
    status, out, err = project.run(script, python=project.add_python("python", version), **lacks)

    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith(f"scripts/{script}: ")
    assert words in err
    assert not (project.root / ".venv").exists()


def test_everything_to_run_is_executable() -> None:
    """A clone can run its scripts as they are."""
    for name in (
        "scripts/demo",
        "scripts/test",
        "scripts/check",
        "scripts/bench",
        "scripts/docs",
        "scripts/make-sync",
        ".ci/run",
    ):
        assert os.access(ROOT / name, os.X_OK), name

"""Gets the published reference client by npm, once, into the user's cache folder; never into the repository."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

PACKAGE: Final = "@openai/codex"
PINNED: Final = "0.144.0"
"""The version that the recordings were made with."""
WANTED: Final = os.environ.get("RTC_CLIENT_TEST_REFERENCE", "")
"""Another version than the newest, or `none` for no download and no test."""
NEWEST: Final = "0.169.0" if WANTED in ("", "none") else WANTED
"""The newest version that was tried, unless the environment asks for another."""

INSTALL_LIMIT_S: Final = 240.0
ANSWER_LIMIT_S: Final = 20.0
"""How long npm may take to say that there is such a version; a registry behind a closed door says nothing."""

_reasons: dict[str, str] = {}
"""Why a version cannot be had; asked once in a run."""


class NotInstallable(Exception):
    """The reference client cannot be had on this machine; the text says why."""


def installed(version: str) -> Path:
    """Return the program of a version, after installing it where it is not yet.

    Raises:
        NotInstallable: If there is no npm, or npm cannot get it.
    """
    if WANTED == "none":
        raise NotInstallable("RTC_CLIENT_TEST_REFERENCE=none")
    if version in _reasons:
        raise NotInstallable(_reasons[version])
    try:
        return _installed(version)
    except NotInstallable as error:
        _reasons[version] = str(error)
        raise


def _installed(version: str) -> Path:
    folder = _cache_folder() / f"reference-client-{version}"
    program = folder / "node_modules" / ".bin" / "codex"
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise NotInstallable("no node and npm here: apt-get install nodejs npm")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several test workers may want it at once
            if not (folder / "complete").exists():
                _install(npm, folder, version)
                (folder / "complete").touch()
    except OSError as error:
        raise NotInstallable(f"{folder} cannot be written: {error.strerror}") from error
    return program


def _install(npm: str, folder: Path, version: str) -> None:
    wanted = f"{PACKAGE}@{version}"
    quiet = ("--no-update-notifier", "--fetch-retries=0", "--loglevel=error")
    _run(npm, "view", wanted, "version", *quiet, limit_s=ANSWER_LIMIT_S)
    options = ("--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", *quiet)
    _run(npm, "install", *options, wanted, limit_s=INSTALL_LIMIT_S)


def _run(npm: str, *arguments: str, limit_s: float) -> None:
    try:
        done = subprocess.run(
            [npm, *arguments], capture_output=True, text=True, timeout=limit_s, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotInstallable(f"npm {arguments[0]} took longer than {limit_s:g} s") from None
    if done.returncode != 0:
        complaint = next((line for line in done.stderr.splitlines() if "error" in line.lower()), "no reason given")
        raise NotInstallable(f"npm {arguments[0]}: {complaint}")


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rtc-client-tests"

"""Gets the published reference client by npm, once, into the user's cache folder; never into the repository."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

PACKAGE: Final = "@openai/codex"
PINNED: Final = "0.144.0"
"""The version that the recordings were made with."""
NEWEST: Final = os.environ.get("RTC_CLIENT_TEST_REFERENCE") or "0.169.0"
"""The newest version that was tried, or another that the environment asks for."""

INSTALL_LIMIT_S: Final = 240.0


class NotInstallable(Exception):
    """The reference client cannot be had on this machine; the text says why."""


@cache
def installed(version: str) -> Path:
    """Return the program of a version, after installing it where it is not yet.

    Raises:
        NotInstallable: If there is no npm, or npm cannot get it.
    """
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
    command = [
        npm, "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier",
        "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--loglevel=error", f"{PACKAGE}@{version}",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotInstallable(f"npm did not get {PACKAGE}@{version} within {INSTALL_LIMIT_S:g} s") from None
    if done.returncode != 0:
        complaint = next((line for line in done.stderr.splitlines() if "error" in line.lower()), "no reason given")
        raise NotInstallable(f"npm cannot get {PACKAGE}@{version}: {complaint}")


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rtc-client-tests"

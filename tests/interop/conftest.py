"""What the tests of the reference client get: its program, in each of two versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.reference_install import NEWEST, PINNED, NotInstallable, installed


@pytest.fixture(params=[PINNED, NEWEST])
def version(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture
def program(version: str) -> Path:
    try:
        return installed(version)
    except NotInstallable as error:
        pytest.skip(f"the reference client {version} cannot be had: {error}")

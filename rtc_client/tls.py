"""Whom TLS connections trust, loaded once for the whole process: a CA store is large, and slow to load."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

import certifi

from rtc_client.errors import ConfigError


def shared_context() -> ssl.SSLContext:
    """Return the context of all HTTPS and WSS connections: it trusts the system's authorities and those of certifi.

    Where `SSL_CERT_FILE` or `SSL_CERT_DIR` is set, it trusts only what they name.

    Raises:
        ConfigError: What they name cannot be read.
    """
    file, folder = (os.environ.get(name) or None for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    try:
        return _context(file, folder)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"SSL_CERT_FILE or SSL_CERT_DIR cannot be used, correct or unset it: {error.strerror or error}"
        ) from None


@lru_cache(maxsize=4)
def _context(file: str | None, folder: str | None) -> ssl.SSLContext:
    if file or folder:
        return ssl.create_default_context(cafile=file, capath=folder)
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context

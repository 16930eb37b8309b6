"""The plain HTTP answers of a fake answerer: errors as the service words them, and those of faults."""

from __future__ import annotations

import json

from aiohttp import web

from rtc_client.testing.faults.effects import Drop, Refuse


def refused(request: web.Request, fault: Refuse | Drop) -> web.StreamResponse:
    """Return what the fault answers; nothing, and no connection any more, for a drop."""
    if isinstance(fault, Refuse):
        return web.Response(status=fault.status, headers=fault.headers, body=fault.body)
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


def error_answer(status: int, message: str) -> web.Response:
    """Return an error with its sentence in JSON."""
    body = json.dumps({"error": {"message": message}})
    return web.Response(status=status, body=body.encode(), headers={"Content-Type": "application/json"})

"""Server events of realtime v2, as tests send them."""

from __future__ import annotations

import base64
import json

import numpy as np


def created(response_id: str, **fields: object) -> str:
    return json.dumps({"type": "response.created", "response": {"id": response_id, "status": "in_progress", **fields}})


def delta(response_id: str, item_id: str, n_samples: int, value: int = 1000) -> str:
    audio = base64.b64encode(np.full(n_samples, value, dtype="<i2").tobytes()).decode()
    where = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
    return json.dumps({"type": "response.output_audio.delta", "delta": audio, **where})

"""The route /v1/embeddings: vectors of texts in OpenAI's form, one request after the other.

The work is done beside the event loop, a batch at a time; between two batches it is given up where
the client has left or the time is over.
"""

import asyncio
import base64
import json
import time
from typing import Any

from fastapi import APIRouter, Request, Response
from jaxtyping import Float
from torch import Tensor

from cutaway.server.encoders import ServedEncoder, batches, gathered
from cutaway.server.models import Models
from cutaway.server.protocol import EmbeddingRequest, Refused
from cutaway.server.rooms import leave_place
from cutaway.server.settings import Settings
from cutaway.server.streaming import Gone
from cutaway.server.turns import Turns

EMBEDDINGS = "/v1/embeddings"
LEFT = 499
"""The status of an answer that nobody reads any more, as servers note it."""


def embeddings_router(*, models: Models, turns: Turns, settings: Settings) -> APIRouter:
    """The route that encoders answer."""
    router = APIRouter()

    @router.post(EMBEDDINGS)
    async def embed(asked: EmbeddingRequest, request: Request) -> Response:
        served = models.find_encoder(asked.model)
        deadline = time.monotonic() + settings.answer_seconds
        leave_place(request)
        async with turns.take():
            rows = await asyncio.to_thread(served.rows, asked)
            try:
                vectors = await _read(served, rows, request=request, deadline=deadline)
            except Gone:
                return Response(status_code=LEFT)
            tokens = sum(map(len, rows))
            body = await asyncio.to_thread(_told, asked, vectors, name=served.name, tokens=tokens)
        return Response(body, media_type="application/json")

    return router


async def _read(
    served: ServedEncoder, rows: list[list[int]], *, request: Request, deadline: float
) -> Float[Tensor, "B D"]:
    """The vectors of all rows.

    Raises:
        Gone: the client has left.
        Refused: the time is over.
    """
    parts = []
    for places in batches(rows):
        if await request.is_disconnected():
            raise Gone
        if time.monotonic() > deadline:
            raise Refused("the vectors took too long; send fewer texts at once", status=408)
        some = [rows[place] for place in places]
        parts.append((places, await asyncio.to_thread(served.encoder.read, some)))
    return gathered(parts)


def _told(
    asked: EmbeddingRequest, vectors: Float[Tensor, "B D"], *, name: str, tokens: int
) -> bytes:
    """The whole answer; written beside the event loop, for there may be a million numbers."""
    if asked.encoding_format == "base64":
        numbers = vectors.numpy().astype("<f4")
        shown: list[Any] = [base64.b64encode(row.tobytes()).decode() for row in numbers]
    else:
        shown = vectors.tolist()
    data = [
        {"object": "embedding", "index": place, "embedding": each}
        for place, each in enumerate(shown)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    whole = {"object": "list", "data": data, "model": name, "usage": usage}
    return json.dumps(whole, allow_nan=False).encode()

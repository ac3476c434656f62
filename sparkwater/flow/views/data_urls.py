"""Files within pages: a page asks no server for them."""

from __future__ import annotations

import base64

PNG, SVG = "image/png", "image/svg+xml"


def data_url(media_type: str, content: bytes) -> str:
    """Return a ``data:`` URL of a file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"

"""The page to try the REST edge: Swagger UI, with its files, since a browser may not reach other servers."""

import asyncio
from importlib.resources import files
from typing import Final

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response

_FOLDER: Final = files("fastapi_offline") / "static"
_SCRIPT, _STYLE, _ICON = "swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"
ASSETS: Final = {_SCRIPT: "text/javascript", _STYLE: "text/css", _ICON: "image/png"}
"""The files of the page under `/docs/`, and their media types."""


async def docs_page() -> Response:
    """The page; its addresses are relative, so that it works behind a proxy that adds a prefix."""
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="ProMedical",
        swagger_js_url=f"docs/{_SCRIPT}",
        swagger_css_url=f"docs/{_STYLE}",
        swagger_favicon_url=f"docs/{_ICON}",
        swagger_ui_parameters={"validatorUrl": None},  # would ask a server of Swagger
    )


async def docs_asset(name: str) -> Response:
    """One of `ASSETS`."""
    content = await asyncio.to_thread((_FOLDER / name).read_bytes)
    return Response(content, media_type=ASSETS[name])

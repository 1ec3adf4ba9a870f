"""GET /docs: the commands for people. It has no script and loads nothing; its headers make browsers enforce that."""

from collections.abc import Iterator
from html import escape
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

router = APIRouter(tags=["service"])

POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@router.get("/docs", include_in_schema=False)
async def documentation(request: Request) -> HTMLResponse:
    """Show the page."""
    return HTMLResponse(page(request.app.openapi()), headers={"Content-Security-Policy": POLICY})


def page(document: dict[str, Any]) -> str:
    """Return the commands of an OpenAPI document as HTML. Pure."""
    info = document["info"]
    return "\n".join(
        (
            f'<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}</title>',
            f"<h1>{escape(info['title'])}</h1>\n<p>{escape(info['description'])}</p>",
            '<p>Bodies and answers are in the <a href="/openapi.json">OpenAPI document</a>.</p>',
            *_commands(document),
            "</html>",
        )
    )


def _commands(document: dict[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p>{escape(operation['summary'])}. {escape(operation.get('description', ''))}</p>"
            names = [p for p in operation.get("parameters", ()) if p["in"] in ("path", "query")]
            if names:
                lines = (f"<dt>{escape(p['name'])}<dd>{escape(p.get('description', ''))}" for p in names)
                yield f"<dl>{''.join(lines)}</dl>"

"""Contract §5, "Add-ons": none is there, and clients read 404 as "not active"."""

import httpx
import pytest

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_no_addon_is_available(http: httpx.AsyncClient, alice: httpx.AsyncClient, method: str) -> None:
    for client in (http, alice):
        for path in ("/addon/cam", f"/addon/cam/{NOTHING}", f"/addon/cam/{NOTHING}/feed/0", "/addon/x%2Fy"):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.json()) == (404, {"error_message": "add-on not available"})


async def test_other_methods_are_unrecognized(alice: httpx.AsyncClient) -> None:
    answer = await alice.put("/addon/cam")
    assert answer.status_code == 400
    assert answer.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, POST"

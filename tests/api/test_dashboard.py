"""The dashboard's files and the proofs that it asks for, over HTTP."""

import re
from pathlib import Path

import httpx
import pytest

import node
from node.api_dashboard import FILES

FOLDER = Path(node.__file__).parent / "dashboard"


@pytest.fixture
async def stranger(served):
    """A client without the token."""
    async with httpx.AsyncClient(base_url=served.url, trust_env=False, timeout=20) as client:
        yield client


async def test_the_page_and_its_files_need_no_token_and_load_nothing_from_elsewhere(stranger):
    page = await stranger.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    named = re.findall(rf'(?:src|href)="({FILES}[^"]+)"', page.text)
    assert len(named) >= 2
    for path in {*named, *(FILES + file.name for file in FOLDER.iterdir())}:
        answer = await stranger.get(path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert not re.search(r"https?://(?!www\.w3\.org/)", answer.text), path


@pytest.mark.parametrize(
    "path",
    ["absent.js", "..%2fapi.py", "%2e%2e/api.py", "../api.py", "index.html/", ""],
)
async def test_no_other_file_is_given(stranger, path):
    answer = await stranger.get(FILES + path)
    assert answer.status_code in (307, 401, 404)
    assert "import" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_only_reading_is_open(stranger, method):
    assert (await stranger.request(method, "/")).status_code == 401


async def test_what_the_page_asks_needs_the_token(stranger, served):
    path = "/v1/tasks/aaaa/proof"
    assert (await stranger.get(path)).status_code == 401
    assert (await served.client.get(path)).status_code == 404
    assert (await stranger.post("/v1/proofs/verify", content=b"x")).status_code == 401
    refused = await served.client.post("/v1/proofs/verify", content=b"x")
    assert refused.status_code == 422
    assert refused.json()["detail"] == "it proves nothing"

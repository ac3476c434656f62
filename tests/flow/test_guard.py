"""Only what has the token passes, and only to the server's own address: pages, files, polling and websockets."""

from __future__ import annotations

import asyncio

import pytest

from sparkwater.flow.guard import Guard

PORT = 54321
HOST = f"127.0.0.1:{PORT}"


class Behind:
    """The application behind the guard; it remembers who came."""

    def __init__(self) -> None:
        self.came = []

    async def __call__(self, scope, receive, send):
        self.came.append(scope["type"])
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"ALLOW")]})
            await send({"type": "http.response.body", "body": b"inside"})
        else:
            await send({"type": "websocket.accept"})


@pytest.fixture
def behind():
    return Behind()


@pytest.fixture
def guard(behind):
    return Guard(behind, {HOST, f"localhost:{PORT}"}, PORT)


def ask(guard, path="/", query="", kind="http", method="GET", **headers):
    """Return what is sent for a request."""
    given = {"host": HOST, **headers}
    lines = [
        (name.replace("_", "-").encode(), each.encode("latin-1"))
        for name, value in given.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    scope = {"type": kind, "path": path, "query_string": query.encode(), "headers": lines, "method": method}
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    return sent


def status(sent):
    return sent[0].get("status", sent[0]["type"])


def header(sent, name):
    return [value.decode() for key, value in sent[0]["headers"] if key == name.encode()]


def cookie_of(guard):
    sent = ask(guard, query=f"token={guard.invite()}")
    return header(sent, "set-cookie")[0].split(";")[0]


def test_the_token_becomes_a_cookie_and_leaves_the_address(guard, behind):
    token = guard.invite()
    sent = ask(guard, path="/jobs", query=f"job=3&token={token}")
    assert status(sent) == 200
    assert b'content="0;url=/jobs?job=3"' in sent[1]["body"]
    attributes = header(sent, "set-cookie")[0].split("; ")
    assert attributes[0].startswith(f"sparkwater-flow-{PORT}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
    assert token not in str(sent)
    assert behind.came == []


def test_a_token_is_for_one_browser(guard):
    first, second = guard.invite(), guard.invite()
    assert status(ask(guard, query=f"token={first}")) == 200
    assert status(ask(guard, query=f"token={first}")) == 403
    assert guard.has_unused_invite
    cookie = cookie_of(guard)
    assert status(ask(guard, query=f"token={second}")) == 200
    assert not guard.has_unused_invite
    again = ask(guard, query=f"token={first}", cookie=cookie)  # the same browser, by its history
    assert b"url=/" in again[1]["body"]


def test_a_token_that_a_known_browser_opens_is_used_up(guard):
    cookie, token = cookie_of(guard), guard.invite()
    assert status(ask(guard, query=f"token={token}", cookie=cookie)) == 200
    assert not guard.has_unused_invite
    assert status(ask(guard, query=f"token={token}")) == 403


@pytest.mark.parametrize("other", ['a={"b": "c"}', "a b", '"', 'a="; b=\\', "=", "sparkwater-flow-54321=old"])
def test_cookies_of_other_ports_do_not_hide_ours(guard, other):
    own = cookie_of(guard)
    for cookie in (f"{other}; {own}", f"{own}; {other}", [other, own]):
        assert status(ask(guard, cookie=cookie)) == 200
    assert status(ask(guard, cookie=other)) == 403


def test_a_cookie_over_tls_is_for_tls_alone(behind):
    guard = Guard(behind, {HOST}, PORT, secure=True)
    assert "; Secure" in header(ask(guard, query=f"token={guard.invite()}"), "set-cookie")[0]
    assert status(ask(guard, cookie=cookie_of(guard), origin=f"http://{HOST}")) == 403
    assert status(ask(guard, cookie=cookie_of(guard), origin=f"https://{HOST}")) == 200


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("path", ["/", "/_nicegui/3.18.0/static/nicegui.js", "/_nicegui_ws/socket.io/"])
def test_the_cookie_opens_all_and_its_want_nothing(guard, behind, kind, path):
    refused = ask(guard, path=path, kind=kind)
    assert status(refused) == (403 if kind == "http" else "websocket.close")
    assert behind.came == []
    passed = ask(guard, path=path, kind=kind, cookie=f"other=1; {cookie_of(guard)}")
    assert status(passed) == (200 if kind == "http" else "websocket.accept")
    assert behind.came == [kind]


@pytest.mark.parametrize(
    "query", ["token=", "token=x", "token=é", "token", "token={0}&token={0}", "token={0}x", "x={0}", "token=%ff"]
)
def test_a_wrong_token_opens_nothing(guard, behind, query):
    sent = ask(guard, query=query.format(guard.invite()))
    assert status(sent) == 403
    assert b"Open the address that was printed" in sent[1]["body"]
    assert header(sent, "set-cookie") == []
    assert behind.came == []


def test_a_token_in_a_post_or_a_websocket_opens_nothing(guard):
    query = f"token={guard.invite()}"
    assert status(ask(guard, query=query, method="POST")) == 403
    assert status(ask(guard, query=query, kind="websocket")) == "websocket.close"


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": f"evil.example:{PORT}"},
        {"host": "127.0.0.1:80"},
        {"host": [HOST, HOST]},
        {"host": []},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https://{HOST}"},
        {"origin": f"http://localhost:{PORT}"},
        {"origin": [f"http://{HOST}", "http://evil.example"]},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"},
        {"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"},
    ],
    ids=str,
)
def test_requests_of_other_pages_and_for_other_hosts_are_refused(guard, behind, kind, headers):
    sent = ask(guard, kind=kind, cookie=cookie_of(guard), **headers)
    assert status(sent) == (403 if kind == "http" else "websocket.close")
    assert behind.came == []


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"content_length": "4300000"}, 200),
        ({"content_length": "6000000"}, 413),
        ({"content_length": "9" * 400}, 413),
        ({"content_length": f"{'0' * 20}6000000"}, 413),
        ({"content_length": "-1"}, 413),
        ({"content_length": ["1", "6000000"]}, 413),
        ({"transfer_encoding": "chunked"}, 413),
    ],
    ids=str,
)
def test_bodies_are_no_larger_than_a_flow(guard, behind, headers, answer):
    assert status(ask(guard, method="POST", cookie=cookie_of(guard), **headers)) == answer
    assert behind.came == ["http"] * (answer == 200)
    assert status(ask(guard, method="POST", **headers)) == 403  # strangers are told nothing else


def test_the_server_has_several_names(guard):
    assert (
        status(ask(guard, host=f"LOCALHOST:{PORT}", origin=f"http://localhost:{PORT}", cookie=cookie_of(guard))) == 200
    )


def test_the_cookie_of_another_port_or_a_broken_one_is_not_ours(guard):
    value = cookie_of(guard).split("=", 1)[1]
    for cookie in (f"sparkwater-flow-1={value}", f"sparkwater-flow-{PORT}=x{value}", 'a="; \x01', "é=é", "=;=;"):
        assert status(ask(guard, cookie=cookie)) == 403


def test_headers_are_on_every_answer(guard):
    for sent in (
        ask(guard),
        ask(guard, query=f"token={guard.invite()}"),
        ask(guard, cookie=cookie_of(guard)),
        ask(guard, host="evil"),
    ):
        policy = header(sent, "content-security-policy")
        assert len(policy) == 1
        assert "default-src 'none'" in policy[0]
        assert "http" not in policy[0]
        assert header(sent, "x-frame-options") == ["DENY"]
        assert header(sent, "x-content-type-options") == ["nosniff"]


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\\\evil.example", "/\\/evil.example", '/"><script>x</script>'])
def test_the_way_in_leads_nowhere_else(guard, path):
    body = ask(guard, path=path, query=f"token={guard.invite()}")[1]["body"].decode()
    target = body.split('content="0;url=')[1].split('"')[0]
    assert target.startswith("/")
    assert target[1:2] not in ("/", "\\")
    assert "<script>" not in body


def test_tokens_are_random(behind):
    guard = Guard(behind, {HOST}, PORT)
    assert len({guard.invite() for _ in range(50)}) == 50

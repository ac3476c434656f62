"""The guard before all pages: those alone pass that have the token, from the address that the server has."""

from __future__ import annotations

import hmac
import html
import secrets
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qs, quote, urlencode

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

#: What the pages need, and nothing of other hosts. NiceGUI's pages hold scripts of their own and compile templates.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

#: The look of the guard's own pages, in the colours of the browser.
_LOOK = (
    '<meta name=viewport content="width=device-width"><meta name=color-scheme content="light dark">'
    "<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}</style>"
)

#: The largest body of a request. A flow that is opened is the largest that a page sends, with 4 MiB at most.
_MOST_BYTES = 5 * 1024 * 1024

HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """A pure ASGI application around another: pages, static files, polling and websockets.

    A request passes with the cookie that a token in the address is exchanged for; each token is good for one exchange.
    The request's Host must be one of the server's, and its Origin, where it has one, the same.

    Parameters
    ----------
    app : callable
        The application.
    hosts : set of str
        Hosts with ports, as browsers send them: ``127.0.0.1:54321``.
    port : int
        The port, which names the cookie: browsers send cookies to all ports of a host.
    secure : bool
        Whether the server speaks TLS.
    """

    def __init__(self, app: App, hosts: set[str], port: int, *, secure: bool = False) -> None:
        self._app, self._hosts, self._secure = app, {host.lower() for host in hosts}, secure
        self._tokens: list[str] = []
        self._lock = threading.Lock()  # tokens are made in other threads than the server's
        self._session = secrets.token_urlsafe(32)
        self.cookie = f"sparkwater-flow-{port}"

    def invite(self) -> str:
        """Return a new token; the latest ten are good."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens = [*self._tokens[-9:], token]
        return token

    @property
    def has_unused_invite(self) -> bool:
        """True where a token is left that nobody has used."""
        return bool(self._tokens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        why = self._stranger(headers)
        if why:
            await refuse(scope, receive, send, why)
        elif _asks(scope) and (self._uses_token(scope) or self._known(headers)):  # who is known uses a token up too
            await self._let_in(scope, send)
        elif self._known(headers) and not _is_small(headers):
            await refuse(scope, receive, send, "The request is larger than any that a page sends.", 413)
        elif self._known(headers):
            await _hand_on(self._app, scope, receive, _with_headers(send))
        else:
            await refuse(scope, receive, send, "Open the address that was printed last: it has a token, for one use.")

    def _stranger(self, headers: dict[str, list[str]]) -> str:
        """Return why a request isn't from a page of this server; empty where it may be."""
        hosts, origins = headers.get("host", []), headers.get("origin", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return "This host name isn't the server's: use the address that was printed at the start."
        own = f"{'https' if self._secure else 'http'}://{hosts[0].lower()}"
        if any(origin.lower() != own for origin in origins):
            return "A request of another page's is refused."
        if headers.get("sec-fetch-site", ["none"])[0] not in ("none", "same-origin"):
            navigates = headers.get("sec-fetch-mode", [""])[0] == "navigate"
            if not navigates:
                return "A request of another page's is refused."
        return ""

    def _known(self, headers: dict[str, list[str]]) -> bool:
        # Browsers send the cookies of all ports along, in any form: those of others must not hide ours.
        pairs = (part.partition("=") for line in headers.get("cookie", []) for part in line.split(";"))
        return any(name.strip() == self.cookie and _same(value.strip(), self._session) for name, _, value in pairs)

    def _uses_token(self, scope: Scope) -> bool:
        """Return whether the address has a token that is good, which it isn't any more."""
        given = _query(scope)["token"]
        with self._lock:
            good = [token for token in self._tokens if len(given) == 1 and _same(given[0], token)]
            self._tokens = [token for token in self._tokens if token not in good]
        return bool(good)

    async def _let_in(self, scope: Scope, send: Send) -> None:
        """Give the cookie, and a page that leads to the same address without the token.

        A redirect wouldn't do: where a page of another site led here, browsers follow it without the cookie.
        """
        rest = urlencode({name: values for name, values in _query(scope).items() if name != "token"}, doseq=True)
        target = html.escape("/" + quote(scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else ""))
        secure = "; Secure" if self._secure else ""
        cookie = f"{self.cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict{secure}"
        words = f'<p>Opening <a href="{target}">sparkwater</a>.</p>'
        body = _page("sparkwater", words, f'<meta http-equiv="refresh" content="0;url={target}">')
        await _answer(send, 200, body, (b"set-cookie", cookie.encode()))


async def _hand_on(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await app(scope, receive, send)
    except RuntimeError as error:
        if str(error) != "No response returned.":  # Starlette's, where the browser has gone before the answer
            raise


async def refuse(scope: Scope, receive: Receive, send: Send, why: str, status: int = 403) -> None:
    """Answer with a reason; a websocket is closed before it opens, which is 403."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": why})
        return
    await _answer(send, status, _page("Not allowed", f"<h1>Not allowed</h1><p>{why}</p>"))


async def _answer(send: Send, status: int, body: str, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store"), *HEADERS, *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


def _page(title: str, content: str, head: str = "") -> str:
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>{_LOOK}{head}{content}</html>"


def _with_headers(send: Send) -> Send:
    names = {name for name, _ in HEADERS}

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message.get("headers", []) if name.lower() not in names]
            message = {**message, "headers": [*kept, *HEADERS]}
        await send(message)

    return sending


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope.get("query_string", b"").decode("latin-1"))


def _asks(scope: Scope) -> bool:
    """Return whether a page is asked for with a token."""
    return scope["type"] == "http" and scope["method"] == "GET" and "token" in _query(scope)


def _is_small(headers: dict[str, list[str]]) -> bool:
    """Return whether a body says its size, as all that browsers send do, and is one that a page may send."""
    sizes = headers.get("content-length", [])
    return "transfer-encoding" not in headers and all(
        size.isascii() and size.isdecimal() and len(size) <= 20 and int(size) <= _MOST_BYTES for size in sizes
    )


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope.get("headers", []):
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())

"""A store that speaks S3's protocol on loopback: moto's server, with faults on request."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEY, SECRET, BUCKET = "tests-key", "tests-secret", "sparkwater-tests"

_ANSWER = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} of the test</Message></Error>"


@dataclass
class Store:
    """The store.

    Attributes
    ----------
    url : str
        Its endpoint.
    refuses : callable
        Told the method and the path of a request and how many there were before; returns whether it gets a 503.
    requests : list of (str, str)
        Methods and paths of all requests.
    """

    url: str = ""
    refuses: Callable[[str, str, int], bool] = lambda method, path, number: False
    requests: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which it is reached."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    @property
    def client(self) -> Any:
        """A client of its own, which no fault of the environment touches."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all objects, without the markers of folders."""
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [one["Key"] for one in found if not one["Key"].endswith("/")]

    def put(self, name: str, content: bytes) -> str:
        """Write an object, and return its URL."""
        self.client.put_object(Bucket=BUCKET, Key=name, Body=content)
        return f"s3://{BUCKET}/{name}"

    def answer(self, moto: Any, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Answer a request: by moto, or with an error. Unlike moto, real stores refuse who shows no key."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._lock:
            refused = self.refuses(method, path, len(self.requests))
            self.requests.append((method, path))
        if refused:
            return _error(environ, start, "503 Slow Down", "SlowDown")
        if f"Credential={KEY}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            return _error(environ, start, "403 Forbidden", "AccessDenied")
        return moto(environ, start)


def _error(environ: dict[str, Any], start: Any, status: str, code: str) -> list[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = _ANSWER.format(code=code).encode()
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def running_store() -> Iterator[Store]:
    """Run a store with one bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store, moto = Store(), DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, lambda environ, start: store.answer(moto, environ, start), threaded=True)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        store.client.create_bucket(Bucket=BUCKET)
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def use(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment by which a store is reached, in this process."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)

"""A store that speaks S3's protocol on loopback: moto's server in a process of its own, with faults on request.

In this process it could not answer while pyarrow holds the interpreter's lock, as it does when it drops a file.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import pytest

KEY, SECRET, BUCKET = "tests-key", "tests-secret", "sparkwater-tests"

#: Refusals: one that clients try again, and one that they don't.
BUSY, GONE = "503 SlowDown", "400 InvalidRequest"

_CONTROL = "/-control"


@dataclass(frozen=True)
class Store:
    """The store.

    Attributes
    ----------
    url : str
        Its endpoint.
    """

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which it is reached, and by which clients ask no machine of AWS's for a region first."""
        own = {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        return {**own, "AWS_EC2_METADATA_DISABLED": "true"}

    @property
    def client(self) -> Any:
        """A client of its own, which knows nothing of the environment."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )

    def refuse(self, status: str = "", after: int = 0, every: int = 1) -> None:
        """Refuse requests from now on, after a number of them, and one of so many; none with an empty status."""
        self._control({"status": status, "after": after, "every": every, "delay": 0.0})

    def delay(self, seconds: float, every: int = 1) -> None:
        """Answer one of so many requests later from now on, until `refuse` is called."""
        self._control({"status": "", "after": 0, "every": every, "delay": seconds})

    @property
    def requests(self) -> int:
        """The number of requests so far."""
        return int(self._control(None)["requests"])

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all objects, without the markers of folders."""
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [one["Key"] for one in found if not one["Key"].endswith("/")]

    def put(self, name: str, content: bytes) -> str:
        """Write an object, and return its URL."""
        self.client.put_object(Bucket=BUCKET, Key=name, Body=content)
        return f"s3://{BUCKET}/{name}"

    def _control(self, faults: dict[str, Any] | None) -> dict[str, Any]:
        with urlopen(f"{self.url}{_CONTROL}", None if faults is None else json.dumps(faults).encode()) as answer:
            said: dict[str, Any] = json.load(answer)
            return said


@contextmanager
def running_store() -> Iterator[Store]:
    """Run a store with one bucket."""
    command = [sys.executable, str(Path(__file__).absolute())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            store = Store(f"http://127.0.0.1:{process.stdout.readline().strip()}")
            store.client.create_bucket(Bucket=BUCKET)
            yield store
        finally:
            process.kill()


def use(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment by which a store is reached, in this process."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)


class _Server:
    """Moto's application behind the faults."""

    def __init__(self, moto: Any) -> None:
        self._moto, self._lock = moto, threading.Lock()
        self._requests, self._faults = 0, {"status": "", "after": 0, "every": 1, "delay": 0.0}

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == _CONTROL:
            return self._controlled(environ, start)
        status, delay = self._fault()
        time.sleep(delay)
        if status:
            return _refused(environ, start, status)
        # Unlike moto, real stores refuse a request without a key that they know.
        if f"Credential={KEY}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            return _refused(environ, start, "403 AccessDenied")
        answer: Iterable[bytes] = self._moto(environ, start)
        return answer

    def _fault(self) -> tuple[str, float]:
        """Return the status and the delay of a request; an empty one and 0 for none."""
        with self._lock:
            self._requests += 1
            self._faults["after"] -= 1
            past = -1 - self._faults["after"]
            struck = past >= 0 and past % self._faults["every"] == 0
            return (self._faults["status"], self._faults["delay"]) if struck else ("", 0.0)

    def _controlled(self, environ: dict[str, Any], start: Any) -> list[bytes]:
        with self._lock:
            if environ["REQUEST_METHOD"] == "POST":
                self._faults = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            body = json.dumps({"requests": self._requests}).encode()
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def _refused(environ: dict[str, Any], start: Any, status: str) -> list[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start(status, [("Content-Length", "0")])
    return [b""]


def serve() -> None:
    """Serve on a free port, which is printed first, until the process is killed."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, _Server(DomainDispatcherApplication(create_backend_app)), threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve()

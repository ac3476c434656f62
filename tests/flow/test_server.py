"""The server: who may reach it, what it refuses to start as, and its end; without Spark."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from http.cookiejar import CookieJar

import pytest
from conftest import ROOT

from sparkwater.errors import ConfigurationError
from sparkwater.flow import serve
from sparkwater.flow.__main__ import main
from sparkwater.flow.server import server_names


@pytest.fixture
def served(tmp_path):
    server = serve(None, [tmp_path], port=0)
    yield server
    server.stop()
    assert not server.running


def browser():
    return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))


def status(opener, url, **headers):
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_pages_open_with_the_address_and_nothing_opens_without(served):
    known, url = browser(), served.invite()
    base = url.split("?")[0]
    assert base.startswith("http://127.0.0.1:")
    assert status(browser(), base)[0] == 403
    assert status(known, url)[0] == 200
    for path in ("", "build", "jobs", "models", "flow"):
        code, text = status(known, base + path)
        assert code == 200
        assert "Spark is starting" in text
    script = next(part for part in status(known, base)[1].split('"') if part.endswith("nicegui.js"))
    assert status(known, base.rstrip("/") + script)[0] == 200
    assert status(browser(), base.rstrip("/") + script)[0] == 403
    assert status(browser(), base + "_nicegui_ws/socket.io/?EIO=4&transport=polling")[0] == 403
    assert status(known, base + "_nicegui_ws/socket.io/?EIO=4&transport=polling", Origin="http://evil")[0] == 403


def test_an_address_is_for_one_browser_and_what_is_shown_has_no_token(served):
    first, second = served.invite(), served.invite()
    assert first.split("?")[0] == second.split("?")[0] == served.url
    assert status(browser(), first)[0] == 200
    assert status(browser(), first)[0] == 403
    for shown in (served.url, repr(served), str(served)):
        assert served.url in shown
        assert "token" not in shown
    assert status(browser(), second)[0] == 200
    assert not served.has_unused_invite


def answer_to(served, method, path, **headers):
    """Return the status of the answer to headers alone."""
    connection = http.client.HTTPConnection(served.url.removeprefix("http://").rstrip("/"), timeout=20)
    connection.putrequest(method, path)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse().status
    connection.close()
    return answer


def cookie_of(served):
    jar = CookieJar()
    status(urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar)), served.invite())
    (cookie,) = jar
    return f"{cookie.name}={cookie.value}"


def test_a_websocket_is_for_pages_of_this_server_alone(served):
    cookie, own = cookie_of(served), served.url.rstrip("/")
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    upgrade["Sec_WebSocket_Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    for headers, expected in (
        ({"Cookie": cookie, "Origin": own}, 101),
        ({"Origin": own}, 403),
        ({"Cookie": f"{cookie}x", "Origin": own}, 403),
        ({"Cookie": cookie, "Origin": "http://evil.example"}, 403),
        ({"Cookie": cookie, "Origin": own.replace("127.0.0.1", "localhost")}, 403),
    ):
        path = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        assert answer_to(served, "GET", path, **upgrade, **headers) == expected, headers


def test_a_huge_upload_is_refused_before_it_is_sent(served):
    sizes = {"Cookie": cookie_of(served), "Content_Type": "multipart/form-data; boundary=x"}
    path = "/_nicegui/client/any/upload/1"
    assert answer_to(served, "POST", path, Content_Length="1000000000000", **sizes) == 413
    assert answer_to(served, "POST", path, Transfer_Encoding="chunked", **sizes) == 413
    assert answer_to(served, "POST", path, Content_Length="1000000000000") == 403


def test_a_server_at_a_time_and_then_another(tmp_path):
    first = serve(None, [tmp_path], port=0)
    with pytest.raises(ConfigurationError, match="served by this process already"):
        serve(None, [tmp_path], port=0)
    known = browser()
    assert status(known, first.invite())[0] == 200
    first.stop()
    second = serve(None, [tmp_path], port=0)
    try:
        assert status(browser(), second.invite())[0] == 200
        assert status(known, second.url)[0] == 403  # the first one's cookie
    finally:
        second.stop()


AGAIN = """
import asyncio
from nicegui import core, run
from sparkwater.flow import serve

for _ in range(2):
    served = serve(None, ["."], port=0)
    print(asyncio.run_coroutine_threadsafe(run.io_bound(lambda: "worked"), core.loop).result(20))
    served.stop()
"""


def test_pages_of_the_second_server_have_threads_to_work_in(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-c", AGAIN], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120,
        env={**kept, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.split() == ["worked", "worked"], done.stderr


def test_a_port_in_use_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match=rf"port {taken.getsockname()[1]}.*another port"):
            serve(None, [tmp_path], port=taken.getsockname()[1])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"host": "0.0.0.0"}, "not loopback"),
        ({"host": "192.0.2.1"}, "not loopback"),
        ({"host": "::"}, "not loopback"),
        ({"certificate": "x"}, "both a certificate and its key"),
        ({"certificate": "nothing", "key": "nothing"}, "no file"),
        ({"host": "192.0.2.1", "plain_text": True}, "can't listen"),
        ({"port": 70000}, "can't listen"),
        ({"folders": ["/no/such/folder"]}, "no folder"),
        ({"folders": []}, "at least one folder"),
    ],
)
def test_what_it_does_not_start_as(tmp_path, given, reason):
    with pytest.raises(ConfigurationError, match=reason):
        serve(None, **{"folders": [tmp_path], "port": 0, **given})


def test_other_addresses_are_served_on_request(tmp_path):
    served = serve(None, [tmp_path], port=0, host="0.0.0.0", plain_text=True)
    try:
        port = served.url.split(":")[2].split("/")[0]
        assert status(browser(), f"http://127.0.0.1:{port}/?{served.invite().split('?')[1]}")[0] == 200
        printed = served.url.removeprefix("http://").split("/")[0]
        assert status(browser(), f"http://127.0.0.1:{port}/?{served.invite().split('?')[1]}", Host=printed)[0] == 200
    finally:
        served.stop()


@pytest.mark.parametrize(
    ("host", "port", "secure", "names"),
    [
        ("192.0.2.1", 8080, False, {"192.0.2.1:8080"}),
        ("flow.example", 443, True, {"flow.example:443", "flow.example"}),
        ("flow.example", 443, False, {"flow.example:443"}),
        ("2001:db8::1", 80, False, {"[2001:db8::1]:80", "[2001:db8::1]"}),
    ],
)
def test_names_of_the_server_are_as_browsers_send_them(host, port, secure, names):
    assert server_names(host, port, secure) == names


def test_tls(tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    served = serve(None, [tmp_path], port=0, certificate=certificate, key=key)
    try:
        context = ssl.create_default_context(cafile=str(certificate))
        jar = urllib.request.HTTPCookieProcessor(CookieJar())
        opener = urllib.request.build_opener(jar, urllib.request.HTTPSHandler(context=context))
        assert served.url.startswith("https://")
        assert status(opener, served.invite())[0] == 200
        assert all(cookie.secure for cookie in jar.cookiejar)
    finally:
        served.stop()


def test_the_program_says_what_is_wrong(tmp_path, capsys):
    assert main(["--folder", str(tmp_path / "nothing"), "--port", "0"]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["--folder", str(tmp_path), "--port", "0", "--host", "0.0.0.0"]) == 2
    assert "not loopback" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--folder", str(tmp_path), "--port", str(port)]) == 2
    assert f"port {port}" in (said := capsys.readouterr().err)
    assert "take another port, or 0 for any free one" in said


@pytest.mark.slow
def test_the_program_ends_when_spark_does_not_start(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sparkwater.flow", "--folder", tmp_path, "--port", "0", "--master", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 1
    assert "Open http://127.0.0.1:" in done.stdout
    assert "Spark did not start" in done.stderr

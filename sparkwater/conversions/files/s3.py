"""S3 and stores that speak its protocol: opening by the environment, in bounded time, with errors that say what to do.

Endpoint, region and credentials come from where the code runs: ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``,
``AWS_REGION`` or ``AWS_DEFAULT_REGION``, ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, a profile, an instance's
role.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from sparkwater.errors import ConfigurationError

if TYPE_CHECKING:
    from pyarrow import fs

#: Attempts of a request. Without a number, the library tries a silent server for a hundred seconds.
_ATTEMPTS = 3

#: Seconds to wait for a connection, and for a server that stays silent; each attempt waits anew.
_CONNECT_SECONDS, _SILENT_SECONDS = 5, 8

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")

#: The region that a store of one's own is asked by where none is set.
_OWN_REGION = "us-east-1"

#: Settings of the library that are secrets.
_KEYS = {"access_key", "secret_key", "session_token"}

#: What the library calls refused credentials.
_REFUSED = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "TOKEN")


def environment_settings() -> str:
    """Return the endpoint and the region that the environment names, as the query of a URL."""
    found = {"endpoint_override": _first(_ENDPOINTS), "region": _first(_REGIONS)}
    return urlencode({name: value for name, value in found.items() if value})


def open_bucket(bucket: str, settings: str) -> tuple[fs.FileSystem, str]:
    """Return the filesystem of a bucket, and how paths on it begin; takes one request, or two.

    Parameters
    ----------
    bucket : str
        The bucket.
    settings : str
        Settings of pyarrow's ``S3FileSystem``, as the query of a URL.

    Raises
    ------
    ConfigurationError
        If the store can't be reached or has no such bucket, or the URL holds keys.
    """
    from pyarrow import fs

    given: dict[str, Any] = dict(parse_qsl(settings))
    if "@" in bucket or given.keys() & _KEYS:
        raise ConfigurationError(
            "an S3 URL holds keys, which logs and saved models would show; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, a profile or a role instead"
        )
    for name in given.keys() & {"allow_bucket_creation", "allow_bucket_deletion"}:
        given[name] = given[name].lower() == "true"
    where = f"s3://{bucket}"
    endpoint = _of_environment() if settings == environment_settings() else _of_url(given)
    opened = None
    try:
        if "region" not in given:
            given["region"] = _OWN_REGION if "endpoint_override" in given else fs.resolve_s3_region(bucket)
        opened = fs.S3FileSystem(
            **given,
            connect_timeout=_CONNECT_SECONDS,
            request_timeout=_SILENT_SECONDS,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        )
        found = opened.get_file_info(bucket).type
    except (OSError, TypeError, ValueError) as error:
        if opened is not None and _is_refusal(error):  # of who may read some files, but not see the bucket
            return opened, bucket
        raise ConfigurationError(f"{where} can't be opened: {explained(error, endpoint)}") from error
    if found == fs.FileType.NotFound and not given.get("allow_bucket_creation"):
        raise ConfigurationError(
            f"{where}: there is no such bucket at {given.get('endpoint_override', 'Amazon S3')}; make it first, or "
            f"correct the bucket's name or the endpoint: {endpoint}"
        )
    return opened, bucket


def explained(error: BaseException, endpoint: str = "") -> str:
    """Return an error's message, with advice where a store refuses credentials or can't be reached.

    Parameters
    ----------
    error : BaseException
        What the library raised.
    endpoint : str
        Where the store was looked for, in words; as the environment says by default.
    """
    text = str(error)
    if _is_refusal(error):
        known = bool(os.environ.get("AWS_ACCESS_KEY_ID"))
        given = "refuses the credentials" if known else "was given none, or refuses those of a profile or role"
        return (
            f"{text}; the store {given}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role, where "
            "the driver and where the executors run (spark.executorEnv.AWS_ACCESS_KEY_ID=...)"
        )
    if "AWS Error NETWORK_CONNECTION" in text or "AWS Error REQUEST_TIMEOUT" in text:
        return f"{text}; the store can't be reached: {endpoint or _of_environment()}"
    return text


def _of_environment() -> str:
    """Return the endpoint that the environment names, in words."""
    named = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    return f"{named} is {os.environ[named]!r}" if named else f"{_ENDPOINTS[1]} isn't set, which means Amazon S3"


def _of_url(settings: dict[str, Any]) -> str:
    """Return the endpoint that a URL's settings name, in words; the environment has no say then."""
    named = settings.get("endpoint_override")
    return f"the URL's endpoint_override is {named!r}" if named else "the URL names no endpoint, which means Amazon S3"


def _is_refusal(error: BaseException) -> bool:
    _, found, kind = str(error).partition("AWS Error ")
    return bool(found) and any(name in kind.partition(" ")[0] for name in _REFUSED)


def _first(names: tuple[str, ...]) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")

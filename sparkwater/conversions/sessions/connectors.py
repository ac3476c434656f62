"""Connectors by which Spark's own readers and writers reach stores of objects, and the advice where one is missing."""

from __future__ import annotations

from sparkwater.conversions.files.filesystems import scheme_of

#: Packages by the scheme of their URLs; those of Hadoop have its version.
_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "org.apache.hadoop:hadoop-aws"),
    **dict.fromkeys(("abfs", "abfss", "wasb", "wasbs"), "org.apache.hadoop:hadoop-azure"),
    **dict.fromkeys(("gs", "gcs"), "com.google.cloud.bigdataoss:gcs-connector"),
}

#: What Hadoop says of a scheme that nothing serves, and of one whose classes aren't there.
_SAID = ("No FileSystem for scheme", "UnsupportedFileSystemException", "FileSystem not found")


def lacks_filesystem(error: BaseException) -> bool:
    """Return whether an error of Spark's says that Hadoop has no filesystem for a URL."""
    return any(said in str(error) for said in _SAID)


def missing_connector(path: str, version: str | None) -> str:
    """Return the message for a URL that Spark doesn't reach.

    Parameters
    ----------
    path : str
        The URL.
    version : str or None
        Hadoop's version; None where nobody knows it.
    """
    scheme = scheme_of(path)
    package = _PACKAGES.get(scheme)
    if package is None:
        return f"{path!r}: Spark has no filesystem for {scheme}://; add its Hadoop connector by --packages or --jars"
    of_hadoop = package.startswith("org.apache.hadoop")
    jars = f"{package}:{(version or '<its version of Hadoop>') if of_hadoop else '<version>'}"
    own = ", and read such URLs by spark.hadoop.fs.s3.impl=org.apache.hadoop.fs.s3a.S3AFileSystem"
    return (
        f"{path!r}: Spark has no filesystem for {scheme}://, which its own readers and writers need here; start it "
        f"with --packages {jars} (spark.jars.packages){own if scheme == 's3' else ''}"
    )

from __future__ import annotations

import base64
import pickle
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from petastorm_data import (
    BUILD,
    EMPTY,
    NEW,
    PROTOCOL,
    REDUCE,
    STOP,
    field_pickle,
    mapping,
    name,
    petastorm,
    schema_pickle,
    text,
    value,
)

from sparkwater.conversions.petastorm.schema_pickle import MAX_PICKLE_BYTES, dump_unischema, load_unischema
from sparkwater.errors import ConfigurationError, UnsafeLoadError

FIELDS = [
    ("id", "int32", (), None, False),
    ("x", "float32", (2, 3), "NdarrayCodec", True),
    ("y", "uint8", (None, 3), "CompressedNdarrayCodec", False),
    ("z", "uint8", (4, 4, 3), "CompressedImageCodec", False),
]


def test_fields_are_read_without_petastorm():
    assert list(load_unischema(schema_pickle(FIELDS))) == FIELDS


@pytest.mark.parametrize("written", ["bool_", "str_", "unicode_", "bytes_", "datetime64"])
def test_numpy_types_come_by_their_present_names(written):
    expected = {"bool_": "bool", "str_": "str", "unicode_": "str", "bytes_": "bytes"}.get(written, written)
    assert load_unischema(schema_pickle([("a", written, (), None, True)])) == (("a", expected, (), None, True),)


def test_dtype_objects_and_python_types_are_dtypes_too():
    made = name("numpy", "dtype") + value(("f4", 0, 1)) + REDUCE + value((3, "<", None)) + BUILD
    fields = [("a", made, (2,), "NdarrayCodec", True), ("b", name("decimal", "Decimal"), (), None, True)]
    assert [field[1] for field in load_unischema(schema_pickle(fields))] == ["float32", "Decimal"]


def test_scalar_codecs_keep_no_spark_type():
    codec = name("petastorm.codecs", "ScalarCodec") + EMPTY + NEW
    codec += b"}" + mapping({"_spark_type": name("pyspark.sql.types", "IntegerType") + EMPTY + NEW}) + BUILD
    assert load_unischema(schema_pickle([("a", "int32", (), codec, False)]))[0][3] == "ScalarCodec"


# What petastorm 0.12.1 under PySpark 4.0 and NumPy 1.26 writes for FIELDS[:2] and a string with a ScalarCodec.
WRITTEN_BY_PETASTORM = {
    0: (
        "Y2NvcHlfcmVnCl9yZWNvbnN0cnVjdG9yCnAwCihjcGV0YXN0b3JtLnVuaXNjaGVtYQpVbmlzY2hlbWEKcDEKY19fYnVpbHRpbl9f"
        "Cm9iamVjdApwMgpOdHAzClJwNAooZHA1ClZfbmFtZQpwNgpWUwpwNwpzVl9maWVsZHMKcDgKY2NvbGxlY3Rpb25zCk9yZGVyZWRE"
        "aWN0CnA5Cih0UnAxMApWaWQKcDExCmcwCihjcGV0YXN0b3JtLnVuaXNjaGVtYQpVbmlzY2hlbWFGaWVsZApwMTIKY19fYnVpbHRp"
        "bl9fCnR1cGxlCnAxMwooZzExCmNudW1weQppbnQzMgpwMTQKKHROSTAwCnRwMTUKdHAxNgpScDE3CnNWeApwMTgKZzAKKGcxMgpn"
        "MTMKKGcxOApjbnVtcHkKZmxvYXQzMgpwMTkKKEkyCkkzCnRwMjAKZzAKKGNwZXRhc3Rvcm0uY29kZWNzCk5kYXJyYXlDb2RlYwpw"
        "MjEKZzIKTnRwMjIKUnAyMwpJMDEKdHAyNAp0cDI1ClJwMjYKc1ZzCnAyNwpnMAooZzEyCmcxMwooZzI3CmNudW1weQpzdHJfCnAy"
        "OAoodGcwCihjcGV0YXN0b3JtLmNvZGVjcwpTY2FsYXJDb2RlYwpwMjkKZzIKTnRwMzAKUnAzMQooZHAzMgpWX3NwYXJrX3R5cGUK"
        "cDMzCmcwCihjcHlzcGFyay5zcWwudHlwZXMKU3RyaW5nVHlwZQpwMzQKZzIKTnRwMzUKUnAzNgooZHAzNwpWY29sbGF0aW9uCnAz"
        "OApWVVRGOF9CSU5BUlkKcDM5CnNic2JJMDEKdHA0MAp0cDQxClJwNDIKc3NnMTEKZzE3CnNnMTgKZzI2CnNnMjcKZzQyCnNiLg=="
    ),
    4: (
        "gASVdgEAAAAAAACME3BldGFzdG9ybS51bmlzY2hlbWGUjAlVbmlzY2hlbWGUk5QpgZR9lCiMBV9uYW1llIwBU5SMB19maWVsZHOU"
        "jAtjb2xsZWN0aW9uc5SMC09yZGVyZWREaWN0lJOUKVKUKIwCaWSUaACMDlVuaXNjaGVtYUZpZWxklJOUKGgMjAVudW1weZSMBWlu"
        "dDMylJOUKU6JdJSBlIwBeJRoDihoFGgPjAdmbG9hdDMylJOUSwJLA4aUjBBwZXRhc3Rvcm0uY29kZWNzlIwMTmRhcnJheUNvZGVj"
        "lJOUKYGUiHSUgZSMAXOUaA4oaB5oD4wEc3RyX5STlCloGIwLU2NhbGFyQ29kZWOUk5QpgZR9lIwLX3NwYXJrX3R5cGWUjBFweXNw"
        "YXJrLnNxbC50eXBlc5SMClN0cmluZ1R5cGWUk5QpgZR9lIwJY29sbGF0aW9ulIwLVVRGOF9CSU5BUlmUc2JzYoh0lIGUdWgMaBNo"
        "FGgdaB5oLnViLg=="
    ),
}


@pytest.mark.parametrize("protocol", [0, 4])
def test_schemas_of_petastorm_itself_are_read(protocol):
    fields = load_unischema(base64.b64decode(WRITTEN_BY_PETASTORM[protocol]))
    assert list(fields) == [*FIELDS[:2], ("s", "str", (), "ScalarCodec", True)]


def test_fields_that_an_old_pyspark_pickled_are_read():
    names = ("name", "numpy_dtype", "shape", "codec", "nullable")
    values = ("a", name("numpy", "int64"), (2,), name("petastorm.codecs", "NdarrayCodec") + EMPTY + NEW, True)
    old = name("pyspark.serializers", "_restore") + value(("UnischemaField", names, values)) + REDUCE
    pickled = schema_pickle([("a", "int8", (), None, False)]).replace(field_pickle(("a", "int8", (), None, False)), old)
    assert load_unischema(pickled) == (("a", "int64", (2,), "NdarrayCodec", True),)


def call(module: str, function: str, *arguments: object) -> bytes:
    return name(module, function) + value(arguments) + REDUCE


class Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


DANGEROUS = {
    "os.system": call("os", "system", "touch {path}"),
    "posix.system": call("posix", "system", "touch {path}"),
    "eval": call("builtins", "eval", "open('{path}', 'w')"),
    "python 2's eval": call("__builtin__", "eval", "open('{path}', 'w')"),
    "exec": call("builtins", "exec", "open('{path}', 'w')"),
    "open": call("builtins", "open", "{path}", "w"),
    "io.open": call("io", "open", "{path}", "w"),
    "getattr": call("builtins", "getattr", name("os", "system"), "__call__"),
    "subprocess": call("subprocess", "check_call", "touch {path}"),
    "a function of a package that schemas name": call("numpy", "fromfile", "{path}"),
    "numpy's way to load": call("numpy", "load", "{path}"),
    "numpy reconstruct": call("numpy.core.multiarray", "_reconstruct", name("numpy", "ndarray"), (0,), "b"),
    "numpy scalar": call("numpy.core.multiarray", "scalar", name("numpy", "dtype"), "a"),
    "numpy's test runner": call("numpy.testing._private.utils", "runstring", "open('{path}', 'w')", b"}"),
    "a class of pyspark's": call("pyspark.java_gateway", "launch_gateway"),
    "a class of petastorm's": call("petastorm.utils", "run_in_subprocess", "{path}"),
    "an attribute of what is allowed": call("collections", "OrderedDict.fromkeys", "ab"),
    "a dtype called": call("numpy", "uint8", 3),
    "a Python type called": call("builtins", "str", "a"),
    "Decimal called": call("decimal", "Decimal", "1e9999999"),
    "reconstruction of a Python type": call("copyreg", "_reconstructor", name("builtins", "str"), b"N", "a"),
    "restoring another type": call("pyspark.serializers", "_restore", "Popen", (), ()),
    "a class given a state": name("petastorm.unischema", "Unischema") + b"}" + mapping({"__init__": b"N"}) + BUILD,
    "an extension code": b"\x82\x01",
    "a persistent id": b"Pid\n",
    "an old-style instance": b"(ios\nsystem\n",
}


@pytest.mark.parametrize("attack", DANGEROUS)
@pytest.mark.parametrize("place", ["the whole", "a field's dtype", "a field's codec"])
def test_a_malicious_schema_is_refused_and_nothing_runs(attack, place, tmp_path):
    path = tmp_path / "touched"
    long = str(path)
    opcodes = DANGEROUS[attack]
    for original in ("touch {path}", "open('{path}', 'w')", "{path}"):
        opcodes = opcodes.replace(text(original), text(original.format(path=long)))
    if place == "the whole":
        pickled = PROTOCOL + opcodes + STOP
    elif place == "a field's dtype":
        pickled = schema_pickle([("a", opcodes, (), None, False)])
    else:
        pickled = schema_pickle([("a", "int8", (), opcodes, False)])
    with pytest.raises(UnsafeLoadError):
        load_unischema(pickled)
    assert not path.exists()


def test_what_the_malicious_schemas_do_to_a_plain_unpickler(tmp_path):
    path = tmp_path / "touched"
    pickle.loads(PROTOCOL + call("os", "system", f"touch {path}") + STOP)
    assert path.exists()


def test_an_object_with_a_reduce_of_its_own_is_refused(tmp_path):
    for protocol in range(6):
        with pytest.raises(UnsafeLoadError):
            load_unischema(pickle.dumps(Harmful(tmp_path / "touched"), protocol=protocol))
    assert not (tmp_path / "touched").exists()


def test_other_pickles_are_no_schemas():
    for other in (None, {}, {"_fields": 1}, [1, "a"], ("a",)):
        with pytest.raises(UnsafeLoadError, match="where a petastorm schema is expected"):
            load_unischema(pickle.dumps(other))


def test_every_truncation_is_refused():
    whole = schema_pickle(FIELDS)
    for length in range(len(whole)):
        with pytest.raises(UnsafeLoadError):
            load_unischema(whole[:length])


def test_mutated_schemas_are_read_or_refused():
    whole, generator = bytearray(schema_pickle(FIELDS)), np.random.default_rng(5)
    refused = 0
    for _ in range(2_000):
        mutated = bytearray(whole)
        for place in generator.integers(0, len(whole), 3):
            mutated[place] = generator.integers(0, 256)
        try:
            load_unischema(bytes(mutated))
        except UnsafeLoadError:
            refused += 1
    assert refused > 1_000


@pytest.mark.parametrize(
    "opcodes",
    [
        b"X" + struct.pack("<I", 2**32 - 1) + b"a",
        b"B" + struct.pack("<I", 2**32 - 1) + b"a",
        b"\x96" + struct.pack("<Q", 2**40) + b"a",
        b"Nr" + struct.pack("<I", 2**31) + b"0",
        b"Np4000000000\n0",
        b")" + b"\x85" * 100_000,
        b"(" * 200_000,
        b"}" + b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60)) + b"Ns",
        b"}" + b")\x85\x85" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60)) + b"Ns",
    ],
    ids=[
        "text",
        "bytes",
        "bytearray",
        "binary memo",
        "memo",
        "nested tuples",
        "marks",
        "tuples of the same",
        "deep tuples of the same",
    ],
)
def test_a_small_pickle_takes_no_large_memory(opcodes):
    started = time.monotonic()
    with pytest.raises(UnsafeLoadError):
        load_unischema(PROTOCOL + opcodes + STOP)
    assert time.monotonic() - started < 30


def test_a_huge_pickle_is_refused_unread():
    with pytest.raises(UnsafeLoadError, match=f"at most {MAX_PICKLE_BYTES}"):
        load_unischema(PROTOCOL + b"N" * MAX_PICKLE_BYTES + STOP)


@pytest.mark.skipif(petastorm is None, reason="petastorm needs pyarrow < 15 and numpy < 2")
def test_what_is_written_is_petastorms_own_schema():
    from petastorm.etl.legacy import restricted_loads

    fields = [
        *FIELDS[:3],
        ("s", "str", (), None, True),
        ("d", "Decimal", (), None, True),
        ("b", "bool", (), None, True),
    ]
    pickled = dump_unischema(fields)
    assert list(load_unischema(pickled)) == fields
    own = restricted_loads(pickled).fields
    assert [(field.name, field.shape, field.nullable) for field in own.values()] == [(f[0], f[2], f[4]) for f in fields]
    assert own["x"].numpy_dtype is np.float32
    # The schemas that these tests make by hand are what petastorm reads.
    assert list(restricted_loads(schema_pickle(FIELDS[:3])).fields) == ["id", "x", "y"]


@pytest.mark.skipif(petastorm is not None, reason="petastorm is here")
def test_writing_without_petastorm_says_what_to_install():
    with pytest.raises(ConfigurationError, match=r"pip install 'sparkwater\[petastorm\]'"):
        dump_unischema(FIELDS)

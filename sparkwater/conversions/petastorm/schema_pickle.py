"""Petastorm's pickled schema: read without petastorm and without trust, written by petastorm's classes.

petastorm keeps a pickled ``Unischema`` among the key-values of the Parquet file
``_common_metadata``. A pickle is a program, so this one is read in two steps: first its opcodes are
looked through, without running any, then an unpickler runs them that knows a fixed list of names
and gives an inert stand-in for each. No class or function that the pickle names is ever imported.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from sparkwater.conversions.petastorm.codecs import COMPRESSED_NDARRAY, IMAGE, NDARRAY
from sparkwater.errors import ConfigurationError, UnsafeLoadError

#: A field: name, NumPy's name of its dtype (or ``Decimal``), shape, class name of its codec, whether it may be null.
FieldRecord = tuple[str, str, tuple[int | None, ...], str | None, bool]

#: A field takes about a hundred bytes; what is larger than this is no schema.
MAX_PICKLE_BYTES = 1024 * 1024

#: A chain of tuples as long as a pickle allows would overflow the stack when it is hashed.
MAX_TUPLES = 20_000


def load_unischema(pickled: bytes) -> tuple[FieldRecord, ...]:
    """Return the fields of a pickled ``Unischema``; nothing in the pickle is executed.

    Raises
    ------
    UnsafeLoadError
        If it is larger than `MAX_PICKLE_BYTES`, is cut short, names anything that a schema doesn't
        consist of, or isn't a schema.
    """
    if len(pickled) > MAX_PICKLE_BYTES:
        raise UnsafeLoadError(f"the schema's pickle has {len(pickled)} bytes; at most {MAX_PICKLE_BYTES} are read")
    try:
        _check_opcodes(pickled)
        loaded = _SchemaUnpickler(io.BytesIO(pickled), encoding="utf-8").load()
        return tuple(_as_field(field) for field in _stored_fields(loaded))
    except UnsafeLoadError:
        raise
    # What a crafted pickle makes the unpickler raise is anybody's guess.
    except Exception as error:
        raise UnsafeLoadError(f"the pickle is no petastorm schema: {type(error).__name__}: {error}") from error


def dump_unischema(fields: Sequence[FieldRecord]) -> bytes:
    """Return the fields as petastorm's own pickled ``Unischema``.

    Raises
    ------
    ConfigurationError
        If petastorm can't be imported here.
    """
    try:
        from petastorm import codecs
        from petastorm.unischema import Unischema, UnischemaField
    except (ImportError, AttributeError) as error:
        raise petastorm_is_missing(error) from error
    own = [
        UnischemaField(
            name,
            Decimal if dtype == "Decimal" else np.dtype(dtype).type,
            shape,
            getattr(codecs, codec)() if codec else None,
            nullable,
        )
        for name, dtype, shape, codec, nullable in fields
    ]
    return pickle.dumps(Unischema("sparkwater", own), protocol=4)


def petastorm_is_missing(error: Exception) -> ConfigurationError:
    """Return the error that says how to install petastorm."""
    return ConfigurationError(
        f"petastorm can't be imported ({error}); pip install 'sparkwater[petastorm]' takes pyarrow < 15, numpy < 2"
    )


class _Named:
    """A class that the pickle names and never calls: the dtype of a field."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Record:
    """An object of the pickle: its constructor's arguments, and its state."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Any:
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unischema(_Record): ...


class _Field(_Record): ...


class _Codec(_Record): ...


class _SparkType(_Record): ...


class _Dtype(_Record): ...


class _Fields(_Record):
    """An ordered dictionary."""

    def __new__(cls, *args: Any) -> Any:
        made = super().__new__(cls, *args)
        made.items = dict(args[0]) if args else {}
        return made

    items: dict[str, Any]

    def __setitem__(self, name: str, value: Any) -> None:
        self.items[name] = value


class _Reconstructor(_Record):
    """The constructor of objects in protocols 0 and 1; it makes the record itself."""

    def __new__(cls, *args: Any) -> Any:
        kind, _, content = args
        if not (isinstance(kind, type) and issubclass(kind, _Record)):
            raise UnsafeLoadError("the schema's pickle makes an object of a class that no schema consists of")
        return kind(*(content or ()))


class _Restored(_Record):
    """The form of named tuples pickled by PySpark before 3.4: the type's name, its fields' names, the values."""

    def __new__(cls, *args: Any) -> Any:
        name, names, values = args
        if name != "UnischemaField" or tuple(names) != ("name", "numpy_dtype", "shape", "codec", "nullable"):
            raise UnsafeLoadError(f"the schema's pickle restores {str(name)[:100]!r}, which is no field")
        return _Field(*values)


_CODECS = {
    name: type(name, (_Codec,), {}) for name in (NDARRAY, COMPRESSED_NDARRAY, IMAGE, "ScalarCodec")
}  # fmt: skip
_SPARK_TYPES = (
    *("ArrayType", "BinaryType", "BooleanType", "ByteType", "CharType", "DateType", "DecimalType", "DoubleType"),
    *("FloatType", "IntegerType", "LongType", "NullType", "ShortType", "StringType", "TimestampNTZType"),
    *("TimestampType", "VarcharType"),
)
_NUMPY_TYPES = (
    *("bool", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "str_", "unicode_", "bytes_", "string_", "datetime64"),
)
_PYTHON_TYPES = ("bool", "bytes", "float", "int", "long", "object", "str", "tuple", "unicode")

#: Stand-ins for what is made, by the names in the pickle.
_MADE: dict[tuple[str, str], type[_Record]] = {
    ("petastorm.unischema", "Unischema"): _Unischema,
    ("petastorm.unischema", "UnischemaField"): _Field,
    **{("petastorm.codecs", name): codec for name, codec in _CODECS.items()},
    **{("pyspark.sql.types", name): _SparkType for name in _SPARK_TYPES},
    ("pyspark.serializers", "_restore"): _Restored,
    ("numpy", "dtype"): _Dtype,
    ("collections", "OrderedDict"): _Fields,
    ("copyreg", "_reconstructor"): _Reconstructor,
    ("copy_reg", "_reconstructor"): _Reconstructor,
}

#: What is only named.
_NAMED = {
    *(("numpy", name) for name in _NUMPY_TYPES),
    *((module, name) for module in ("builtins", "__builtin__") for name in _PYTHON_TYPES),
    ("decimal", "Decimal"),
}

_DTYPE_NAMES = {"bool_": "bool", "str_": "str", "unicode_": "str", "unicode": "str", "bytes_": "bytes"}
_DTYPE_NAMES |= {"string_": "bytes", "int": "int64", "long": "int64", "float": "float64"}

#: Values of one opcode.
_SIMPLE = {
    *("NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "STRING", "BINSTRING"),
    *("SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"),
}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}

#: What a schema's pickle consists of, in protocols 0 to 4. Left out: persistent ids, extension
#: codes, out-of-band buffers, calls by keyword, old-style instances, and what nobody's pickler writes.
_OPCODES = {
    *(*_SIMPLE, *_PUTS, *_GETS, "PROTO", "FRAME", "STOP", "MARK", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD"),
}


def _check_opcodes(pickled: bytes) -> None:
    """Refuse opcodes that no schema needs, and pickles that take far more memory or time than they have bytes."""
    tuples = _Tuples()
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name not in _OPCODES:
            raise UnsafeLoadError(f"the schema's pickle holds the opcode {opcode.name}, which no schema needs")
        if opcode.name in _PUTS and int(argument or 0) > len(pickled):
            raise UnsafeLoadError(f"the schema's pickle asks for {argument} places in its memo")
        tuples.follow(opcode.name, argument)
    if tuples.count > MAX_TUPLES:
        raise UnsafeLoadError(f"the schema's pickle holds {tuples.count} tuples; at most {MAX_TUPLES} are read")


class _Tuples:
    """The memo's tuples: one that holds tuples may not be used twice.

    Else sixty opcodes make a tuple of 2**60 parts, whose hash never ends. Shapes, which
    are shared, hold numbers only.
    """

    def __init__(self) -> None:
        self.count = 0
        self._memo: dict[int, str] = {}
        self._last = "other"  # the value on top of the stack: a "flat" or "deep" tuple, or something else
        self._simple = 0  # how many of the values on top are no tuples, one opcode each
        self._before = ""  # the opcode before those

    def follow(self, opcode: str, argument: Any) -> None:
        if opcode in _PUTS:
            self._memo[len(self._memo) if argument is None else int(argument)] = self._last
            return
        self._last = "other"
        if opcode in _GETS:
            self._last = self._memo.get(int(argument), "other")
        elif "TUPLE" in opcode:
            self.count += 1
            size = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}.get(opcode)
            flat = self._before == "MARK" if size is None else self._simple >= size
            self._last = "flat" if flat else "deep"
        if opcode in _GETS and self._last == "deep":
            raise UnsafeLoadError("the schema's pickle uses a tuple of tuples twice, which no schema needs")
        if self._last == "other" and (opcode in _GETS or opcode in _SIMPLE):
            self._simple += 1
        else:
            self._simple, self._before = 0, opcode


class _SchemaUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NAMED:
            return _Named(name)
        if (module, name) in _MADE:
            return _MADE[module, name]
        raise UnsafeLoadError(f"the schema's pickle names {module[:100]}.{name[:100]}; no schema consists of that")


def _stored_fields(loaded: Any) -> list[Any]:
    if not isinstance(loaded, _Unischema) or not isinstance(loaded.state, dict):
        raise UnsafeLoadError(f"the pickle holds a {type(loaded).__name__} where a petastorm schema is expected")
    fields = loaded.state["_fields"]
    return list((fields.items if isinstance(fields, _Fields) else dict(fields)).values())


def _as_field(record: Any) -> FieldRecord:
    if not isinstance(record, _Field) or len(record.args) not in (4, 5):
        raise UnsafeLoadError("the schema's pickle holds something else than a field among its fields")
    name, dtype, shape, codec, nullable = (*record.args, False)[:5]
    if not isinstance(name, str) or not all(size is None or isinstance(size, int) for size in shape):
        raise UnsafeLoadError("a field of the schema has a name that is no text, or a size that is no number")
    if codec is not None and not isinstance(codec, _Codec):
        raise UnsafeLoadError(f"field {name[:100]!r} has something else than a codec for its codec")
    return name, _dtype_name(dtype), tuple(shape), type(codec).__name__ if codec else None, bool(nullable)


def _dtype_name(dtype: Any) -> str:
    if isinstance(dtype, _Named):
        return _DTYPE_NAMES.get(dtype.name, dtype.name)
    if isinstance(dtype, _Dtype) and isinstance(dtype.args[0], str) and len(dtype.args[0]) < 8:
        return np.dtype(dtype.args[0]).name
    raise UnsafeLoadError("a field of the schema has something else than a dtype for its dtype")

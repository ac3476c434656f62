from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkwater.conversions.tensors.spec import DTYPES, TensorSpec
from sparkwater.errors import SchemaError, SparkwaterError

SPECS = st.builds(TensorSpec, st.sampled_from(DTYPES), st.lists(st.integers(1, 2**40), max_size=5))


@given(SPECS)
def test_json_round_trip_keeps_the_spec(spec: TensorSpec) -> None:
    read = TensorSpec.from_json(spec.to_json())
    assert read == spec
    assert hash(read) == hash(spec)
    assert isinstance(read.shape, tuple)


@given(st.sampled_from(DTYPES), st.lists(st.integers(1, 6), max_size=4))
def test_nbytes_is_what_numpy_uses(dtype: str, shape: list[int]) -> None:
    spec = TensorSpec(dtype, shape)
    array = np.zeros(shape, dtype)
    assert spec.nbytes == array.nbytes == len(array.tobytes())
    assert spec.size == array.size


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_dtype_is_little_endian(dtype: str) -> None:
    one = np.ones(1, TensorSpec(dtype, ()).numpy_dtype)
    assert one.tobytes() == np.ones(1, dtype).astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    assert TensorSpec(dtype, ()).numpy_dtype.name == dtype


def test_a_scalar_has_one_value() -> None:
    spec = TensorSpec("float64", ())
    assert (spec.size, spec.nbytes, spec.shape) == (1, 8, ())


@pytest.mark.parametrize("dtype", ["float", "uint16", "complex64", "object", "", "Float32", "<f4"])
def test_a_dtype_outside_the_list_is_named(dtype: str) -> None:
    with pytest.raises(SchemaError, match="dtype=") as caught:
        TensorSpec(dtype, (1,))
    assert repr(dtype) in str(caught.value)
    assert all(name in str(caught.value) for name in DTYPES)


@pytest.mark.parametrize("size", [0, -1, 2.0, 1.5, True, "3", None])
def test_a_size_that_is_no_positive_integer_is_refused(size: object) -> None:
    with pytest.raises(SchemaError, match="positive integers"):
        TensorSpec("uint8", (2, size))  # type: ignore[arg-type]


def test_numpy_sizes_become_plain_integers() -> None:
    spec = TensorSpec("uint8", np.array([3, 4]))  # type: ignore[arg-type]
    assert spec.shape == (3, 4)
    assert TensorSpec.from_json(spec.to_json()) == spec


def test_a_numpy_dtype_is_refused_or_taken_by_its_name() -> None:
    try:
        spec = TensorSpec(np.dtype("float32"), (2,))  # type: ignore[arg-type]
    except SchemaError:
        return
    assert TensorSpec.from_json(spec.to_json()) == TensorSpec("float32", (2,))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "3",
        "[]",
        '"float32"',
        "{}",
        '{"dtype": "float32"}',
        '{"shape": [1]}',
        '{"dtype": "float33", "shape": [1]}',
        '{"dtype": ["float32"], "shape": [1]}',
        '{"dtype": "float32", "shape": 4}',
        '{"dtype": "float32", "shape": null}',
        '{"dtype": "float32", "shape": "28"}',
        '{"dtype": "float32", "shape": [1.5]}',
        '{"dtype": "float32", "shape": [0]}',
        '{"dtype": "float32", "shape": [[1]]}',
        '{"dtype": "float32", "shape": [true]}',
    ],
)
def test_bad_json_is_a_schema_error(text: str) -> None:
    with pytest.raises(SchemaError):
        TensorSpec.from_json(text)


@given(st.text('{}[]":, 0123456789dtypeshapnul.-'))
def test_any_text_gives_a_typed_error(text: str) -> None:
    with pytest.raises(SparkwaterError):
        TensorSpec.from_json(text)


def test_long_bad_json_is_cut_in_the_message() -> None:
    with pytest.raises(SchemaError) as caught:
        TensorSpec.from_json("x" * 100_000)
    assert len(str(caught.value)) < 500


def test_a_spec_cannot_be_changed() -> None:
    spec = TensorSpec("uint8", (1,))
    with pytest.raises(AttributeError):
        spec.dtype = "int8"  # type: ignore[misc]


def test_the_text_names_dtype_and_shape() -> None:
    assert str(TensorSpec("uint8", (1, 28, 28))) == "uint8[1, 28, 28]"

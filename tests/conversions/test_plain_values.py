"""Hashes of values: equal ones have the same whatever their types, others have others, and a few are pinned."""

from __future__ import annotations

import pytest
from conftest import saying
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.plain_values import hash_columns
from sparkwater.errors import SchemaError

#: Pairs of equal values.
EQUAL = {
    "integers of any width": ("cast(-5 as tinyint)", "cast(-5 as smallint)", "-5", "-5L"),
    "nulls of any width": ("cast(null as int)", "cast(null as bigint)", "if(id < 0, 1, null)"),
    "nullable or not": ("7.5D", "if(id < 0, null, 7.5D)"),
    "strings of any collation": ("'Ab'", "'Ab' collate utf8_lcase", "'Ab' collate unicode_ci", "encode('Ab', 'utf-8')"),
    "decimals of any scale": ("-1.50BD", "cast(-1.5 as decimal(2, 1))", "cast(-1.5 as decimal(38, 20))"),
    "small decimals": ("0.0000000001BD", "cast(0.0000000001BD as decimal(38, 18))"),
    "large decimals": ("123456789012345678901234.5BD", "cast(123456789012345678901234.5BD as decimal(38, 10))"),
    "zeros": ("0.0D", "-0.0D", "0 * -1D"),
    "zeros of floats": ("0.0F", "-0.0F"),
    "what is no number": ("double('NaN')", "-double('NaN')", "sqrt(-1D)"),
    "maps in any order": ("map('a', 1, 'b', null)", "map('b', null, 'a', 1L)", "map('b', int(null), 'a', smallint(1))"),
    "maps of maps": ("map(1, map('a', 1, 'b', 2))", "map(1L, map('b', 2, 'a', 1))"),
    "arrays of any width": ("array(1, null)", "array(1L, null)"),
    "arrays with or without room for nulls": ("array('a', 'b')", "slice(array('a', 'b', null), 1, 2)"),
    "arrays of structs": (
        "array(named_struct('a', 1, 'b', 'x'), null)",
        "array(named_struct('c', 1L, 'd', 'x' collate utf8_lcase), null)",
    ),
    "structs": ("named_struct('a.b', 1, 'b', 2.50BD)", "named_struct('a.b', 1L, 'b', cast(2.5 as decimal(9, 1)))"),
    "arrays of arrays": ("array(array(1), array())", "array(array(1L), array())"),
}

#: Values that are all different.
DIFFERENT = {
    "floats and doubles": ("0.1F", "0.1D", "0.5F", "0.5D"),
    "letters, whatever the collation": ("'a' collate utf8_lcase", "'A' collate utf8_lcase", "'a ' collate utf8_lcase"),
    "decimals": ("1.5BD", "-1.5BD", "1.05BD", "15BD"),
    "places of nulls": ("array(null, 1)", "array(1, null)", "array(1)", "array(null, 1, null)"),
    "null and empty": ("cast(null as array<int>)", "cast(array() as array<int>)", "array(int(null))"),
    "lengths": ("array(array(1), array(2))", "array(array(1, 2), array())", "array(array(1, 2))"),
    "nulls in structs": ("named_struct('a', 1, 'b', null)", "named_struct('a', null, 'b', 1)"),
    "null structs": ("array(named_struct('a', int(null)))", "array(cast(null as struct<a: int>))"),
    "maps": (
        "map(1, 2)",
        "map(2, 1)",
        "map(1, null)",
        "cast(map() as map<int, int>)",
        "cast(null as map<int, int>)",
        "map(1, 2, 3, null)",
    ),
}

#: Keys of an earlier version: with others, rows would move to other folds and checkpoints would be of no use.
PINNED = {
    "7": -4353658342239571572,
    "7.25D": -3047155812056473679,
    "7.25F": 4810807927180990231,
    "true": -4248612865510463554,
    "'sparkwater ä'": 8288081621871237543,
    "x'00ff'": 6743417273757102294,
    "12345678901234567890.50BD": -471894074873438405,
    "date'2024-02-29'": 3635258362533515434,
    "timestamp'2024-02-29 12:30:00.000001+02:00'": 1198353449352215213,
    "timestamp_ntz'2024-02-29 12:30:00.000001'": 2883990652080348018,
    "array(1, null, 3)": -3191273574799894953,
    "array(0.5D, -0.0D)": 7592294862198928329,
    "named_struct('a', array('x', 'y'), 'b', null)": 475968629507195489,
    "map('a', 1, 'b', 2)": 2312073157178030276,
    "cast(null as string)": -6698625589789238999,
}


def keys(frame: DataFrame) -> dict[str, int]:
    """Return the hash of each column of a frame with one row."""
    (row,) = frame.select(*(hash_columns(frame.schema, [name]).alias(name) for name in frame.columns)).collect()
    return row.asDict()


def test_equal_values_have_equal_keys_and_others_have_others(spark: SparkSession) -> None:
    texts = dict.fromkeys(text for group in (*EQUAL.values(), *DIFFERENT.values()) for text in group)
    found = keys(spark.range(1).select(*(F.expr(text).alias(str(place)) for place, text in enumerate(texts))))
    key = dict(zip(texts, found.values(), strict=True))
    assert {name for name, group in EQUAL.items() if len({key[text] for text in group}) > 1} == set()
    assert {name for name, group in DIFFERENT.items() if len({key[text] for text in group}) < len(group)} == set()


@pytest.mark.parametrize(("zone", "ansi"), [("America/St_Johns", "true"), ("Asia/Tokyo", "false")])
def test_keys_are_those_of_earlier_versions_in_any_session(spark: SparkSession, zone: str, ansi: str) -> None:
    with saying(spark, "spark.sql.session.timeZone", zone), saying(spark, "spark.sql.ansi.enabled", ansi):
        found = keys(spark.range(1).select(*(F.expr(text).alias(str(place)) for place, text in enumerate(PINNED))))
    assert dict(zip(PINNED, found.values(), strict=True)) == PINNED


def test_vectors_are_equal_dense_or_sparse(spark: SparkSession) -> None:
    same = [
        Vectors.dense(0, 2.5, -0.0, 3),
        Vectors.sparse(4, [1, 3], [2.5, 3]),
        Vectors.sparse(4, [0, 1, 3], [0, 2.5, 3]),
    ]
    others = [
        Vectors.dense(2.5, 0, 0, 3), Vectors.dense(0, 2.5, 0, 3, 0), Vectors.sparse(4, [1], [2.5]), Vectors.dense(),
        Vectors.sparse(4, [], []), None,
    ]  # fmt: skip
    fields = [T.StructField("one", VectorUDT()), T.StructField("several", T.ArrayType(VectorUDT()))]
    frame = spark.createDataFrame([(one, [one]) for one in (*same, *others)], T.StructType(fields))
    for name in frame.columns:
        found = [row[0] for row in frame.select(hash_columns(frame.schema, [name])).collect()]
        assert len(set(found[:3])) == 1
        assert len(set(found)) == 1 + len(others)


def test_blanks_that_fill_up_a_char_do_not_count(spark: SparkSession) -> None:
    with saying(spark, "spark.sql.preserveCharVarcharTypeInfo", "true"):
        texts = ["cast('ab' as char(5))", "cast('ab' as varchar(5))", "cast('ab' as char(2))", "'ab'"]
        frame = spark.range(1).select(*(F.expr(text).alias(str(place)) for place, text in enumerate(texts)))
        assert frame.schema["0"].dataType.simpleString() == "char(5)"
        assert len(set(keys(frame).values())) == 1


def test_a_variant_is_refused(spark: SparkSession) -> None:
    frame = spark.range(1).selectExpr("id", "array(parse_json('1')) as json")
    with pytest.raises(SchemaError, match="column 'json' holds a variant, which has no hash; name the rows with idCol"):
        hash_columns(frame.schema, ["id", "json"])
    assert isinstance(hash_columns(frame.schema, ["id"]), Column)

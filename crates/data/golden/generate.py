"""Parquet files as pyarrow, pandas, Polars and DuckDB write them.

    pip install pyarrow==26.0.1 pandas==3.1.1 polars==2.1.0 duckdb==2.0.1 numpy==2.4.6
    python generate.py

Writes the files below read/, each of which holds the same features, and those below refused/, each with one thing that
cannot be used. The tests know the features by their formula.
"""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
READ, REFUSED = HERE / "read", HERE / "refused"

ROWS, COLS = 12, 3
NAMES = [f"x{column}" for column in range(COLS)]
row, column = np.indices((ROWS, COLS))
features = ((7 * row + 3 * column) % 11).astype(np.float32)
labels = np.arange(ROWS) % 3 * 5 - 5
words = np.array(["cat", "dog", "eel"])[np.arange(ROWS) % 3]


def flat(dtype=np.float32, **more):
    """A column for each feature."""
    return {name: features[:, column].astype(dtype) for column, name in enumerate(NAMES)} | more


def lists(kind):
    """A column of lists."""
    return {"embeddings": pa.array(features.tolist(), kind), "labels": labels}


def write(name, table, **options):
    pq.write_table(pa.table(table), name, **options)


def read():
    READ.mkdir(exist_ok=True)
    # As pandas and pyarrow do unless they are told otherwise: Snappy, dictionaries; here in three groups of rows.
    write(READ / "flat-pyarrow.parquet", flat(labels=labels), row_group_size=5)
    write(READ / "flat-gzip.parquet", flat(np.float16, labels=labels.astype(np.int8)), compression="gzip")
    write(
        READ / "flat-encodings.parquet",
        flat(labels=labels),
        compression="lz4",
        use_dictionary=False,
        column_encoding={
            "x0": "BYTE_STREAM_SPLIT",
            "x1": "PLAIN",
            "x2": "BYTE_STREAM_SPLIT",
            "labels": "DELTA_BINARY_PACKED",
        },
        data_page_version="2.0",
    )
    write(READ / "flat-old.parquet", flat(np.uint8, labels=labels), version="1.0", compression="none")
    write(READ / "flat-bool.parquet", flat(np.int64, labels=labels > 0))
    # An index of a data frame is no feature: named, and the one that is left when rows are chosen.
    frame = pd.DataFrame(flat(np.float64, labels=words))
    frame.index = pd.Index(np.arange(ROWS) * 10, name="id")
    frame.to_parquet(READ / "words-pandas.parquet")
    frame = pd.concat([pd.DataFrame(flat(np.int32, labels=labels))] * 2, ignore_index=True)
    frame[frame.index >= ROWS].to_parquet(READ / "flat-pandas.parquet")
    # As Polars does unless it is told otherwise: Zstandard.
    pl.DataFrame(flat(labels=labels)).write_parquet(READ / "flat-polars.parquet")
    pl.DataFrame(flat(np.uint32, labels=words)).write_parquet(READ / "words-polars.parquet")
    table = flat(labels=labels)
    connection = duckdb.connect()
    connection.register("flat", pa.table(table))
    connection.register("lists", pa.table(lists(pa.list_(pa.float32()))))
    connection.execute(f"COPY flat TO '{READ / 'flat-duckdb.parquet'}'")
    connection.execute(f"COPY lists TO '{READ / 'lists-duckdb.parquet'}'")

    write(READ / "lists-pyarrow.parquet", lists(pa.list_(pa.float32())), row_group_size=5)
    write(READ / "lists-f64.parquet", lists(pa.large_list(pa.float64())), data_page_version="2.0")
    write(READ / "lists-f16.parquet", lists(pa.list_(pa.float16())), compression="zstd")
    write(READ / "lists-required.parquet", lists(pa.list_(pa.field("item", pa.float32(), nullable=False), COLS)))
    array = pl.Series(features, dtype=pl.Array(pl.Float32, COLS))
    # Beside lists other columns may stand, whatever they hold.
    frame = pl.DataFrame({"id": words, "embeddings": array, "labels": labels, "score": np.full(ROWS, np.nan)})
    frame.write_parquet(READ / "lists-polars.parquet")


def refused():
    REFUSED.mkdir(exist_ok=True)
    null = [None if number == 7 else float(number) for number in range(ROWS)]
    write(REFUSED / "null.parquet", flat(labels=labels) | {"x1": null}, row_group_size=5)
    write(REFUSED / "nan.parquet", flat(labels=labels) | {"x1": np.where(np.arange(ROWS) == 8, np.nan, 0.0)})
    write(REFUSED / "large.parquet", flat(labels=labels) | {"x1": np.where(np.arange(ROWS) == 8, -1e300, 0.0)})
    write(REFUSED / "text.parquet", flat(labels=labels, x3=words))
    write(REFUSED / "date.parquet", flat(labels=labels, x3=np.arange(ROWS).astype("datetime64[ns]")))
    write(REFUSED / "null-label.parquet", flat(labels=[None if number == 3 else 1 for number in range(ROWS)]))
    write(REFUSED / "float-label.parquet", flat(labels=labels.astype(np.float64)))
    write(REFUSED / "list-label.parquet", flat(labels=features.tolist()))
    write(REFUSED / "no-label.parquet", flat())
    write(REFUSED / "no-feature.parquet", {"labels": labels})
    twice = pa.table([pa.array(labels), pa.array(labels)], names=["labels", "labels"])
    pq.write_table(twice, REFUSED / "two-labels.parquet")
    write(REFUSED / "brotli.parquet", flat(labels=labels), compression={"x0": "snappy", "x1": "brotli"})
    write(REFUSED / "struct.parquet", flat(labels=labels, x3=[{"a": 1.0, "b": 2.0}] * ROWS))

    def with_row(at, value):
        rows = [value if number == at else list(map(float, features[number])) for number in range(ROWS)]
        return {"embeddings": pa.array(rows, pa.list_(pa.float32())), "labels": labels}

    write(REFUSED / "ragged.parquet", with_row(6, [1.0, 2.0]), row_group_size=5)
    write(REFUSED / "null-list.parquet", with_row(6, None), row_group_size=5)
    write(REFUSED / "empty-list.parquet", with_row(6, []), row_group_size=5)
    write(REFUSED / "null-in-list.parquet", with_row(6, [1.0, None, 2.0]), row_group_size=5)
    write(REFUSED / "nan-in-list.parquet", with_row(6, [1.0, float("inf"), 2.0]), row_group_size=5)
    texts = {"embeddings": [["a", "b"]] * ROWS, "labels": labels}
    write(REFUSED / "texts-in-list.parquet", texts)
    write(REFUSED / "lists-of-lists.parquet", {"embeddings": [[[1.0], [2.0]]] * ROWS, "labels": labels})
    write(REFUSED / "other-lists.parquet", {"vector": features.tolist(), "labels": labels})


read()
refused()

"""Readers that turn files and pipes into aligned rows of numbers.

Input: a path, a glob, a directory or stdin, in delimited text, JSON lines, NPY, NPZ, Parquet or Arrow. Text,
JSON lines and NPY may also be compressed. Output: the rows of all inputs of a run, in order and in ranges;
row i of every source belongs to sample i. For each field, the rows are an array of shape (rows, *tail), where
tail is the shape of one row. The format is taken from the suffix or from ``--input-format``, never from the contents.

Main classes:
    Unbound: an opened file whose columns are known but not yet selected. Each format implements it.
    Source: the rows of the selected columns. A seekable source reads any range, a sequential one gives chunks.
    Dataset: the sources of a run with the role of each field; its ``slabs`` are the aligned ranges of rows.

Modules, in the order in which to read them:
    source: the interfaces ``OpenedFile`` and ``Source``, ``Field`` (the columns of one input) and ``Options``.
    formats: ``open_source``, which selects the reader of a path. column_selection: ``@3``, names and globs.
    byte_stream, compression, prefetch: the bytes of a file, decompressed. text_decoding: text, cut at record ends.
    text_grammar, text_polars, delimited_text: CSV, TSV and TXT. ndjson: JSON lines.
    npy, npy_reader, npz: the formats of NumPy. columnar, polars_columns, polars_guard: Parquet and Arrow.
    shards: several files read as one. dataset: ``Dataset``. spool: temporary arrays on disk.
"""

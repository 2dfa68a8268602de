"""Readers that turn files and pipes into aligned rows of numbers, and writers of binary files.

Input: a path, a glob, a directory or stdin, in delimited text, JSON lines, NPY, NPZ, Parquet or Arrow. Text,
JSON lines and NPY may also be compressed. Output: the rows of all inputs of a run, in order and in ranges;
row i of every source belongs to sample i. For each field, the rows are an array of shape (rows, *row_shape).
The format is taken from the suffix or from ``--input-format``, never from the contents.

Main classes:
    InputFormat: the record of a format, in ``formats.FORMATS``. It opens a file of the format.
    OpenedFile: an opened file whose columns are known but not yet selected. Each format implements it.
    SeekableSource, StreamingSource: the rows of the selected columns, read in any order, or once from start to end.
    Dataset: the sources of a run with the role of each field; its ``row_ranges`` are the aligned ranges of rows.

Modules, in the order in which to read them:
    source: the interfaces ``OpenedFile``, ``SeekableSource`` and ``StreamingSource``, ``Field`` (the columns of one
        input) and ``Options``.
    formats: the records, and ``open_source``, which opens a path. column_selection: ``@3``, names and globs.
    byte_stream, compression, prefetch: the bytes of a file, decompressed. text_decoding: text, cut at record ends.
    record_source: what text and JSON lines share. text_grammar, text_polars, delimited_text: CSV, TSV and TXT.
    ndjson: JSON lines.
    npy, npy_reader, npz: the formats of NumPy. columnar, polars_columns, polars_guard: Parquet and Arrow.
    arrays: arrays in memory. shards: several files read as one. dataset: ``Dataset``.
    spool: temporary arrays on disk. writers: NPY and Parquet files.
"""

"""The input formats, and the selection of the format of a path by its suffix or by --input-format.

A format is never guessed from the contents. ``FORMATS`` has one record for each format; a new format is its record
and a module with a reader. Readers are imported on first use, because completion and help, which list the formats,
must not import NumPy.
"""

from __future__ import annotations

import os
import re
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, cast

from lossctl.errors import DataError, UsageError, nearest, printable
from lossctl.immutable import immutable
from lossctl.io.byte_stream import STDIN, Origin, display_name, reason
from lossctl.io.compression import SUFFIXES, ZIP, member_name
from lossctl.io.remote_address import is_remote, without_query

if TYPE_CHECKING:
    from lossctl.io.source import Archive, OpenedFile, Options


@immutable
class InputFormat:
    """An input format: all that lossctl has to know of it before it opens a file.

    Attributes:
        name: the value of ``--input-format``; with a dot before it, the suffix of the files.
        module: the module of ``lossctl.io`` with the reader, a function ``open_file`` with the arguments of
            :meth:`open` after the format itself.
        delimiter: for text whose first line can name the columns, its default delimiter, where " " stands for runs
            of blanks; "" (the default) for other formats. Completion of column names reads that line.
        indexed: the format has its index at the end, so that it cannot be read from a pipe or compressed as a whole.
        archive: a path may name a member, ``data.npz:key``, and an opened file has a method ``member``.
    """

    name: str
    module: str
    delimiter: str = ""
    indexed: bool = False
    archive: bool = False

    @property
    def suffix(self) -> str:
        """The suffix of the files, such as ``.csv``."""
        return f".{self.name}"

    def open(self, origin: Origin, options: Options, labels: tuple[str, ...]) -> OpenedFile:
        """Open a file of this format and read its columns.

        Args:
            origin: the bytes of the file.
            options: how to read text.
            labels: class names, which do not make a first row of text a header.

        Raises:
            UsageError: an option is invalid.
            DataError: the file cannot be opened, or its start is malformed.
        """
        opened: OpenedFile = import_module(f"lossctl.io.{self.module}").open_file(self, origin, options, labels)
        return opened


FORMATS = {
    entry.name: entry
    for entry in (
        InputFormat("csv", "delimited_text", delimiter=","),
        InputFormat("tsv", "delimited_text", delimiter="\t"),
        InputFormat("txt", "delimited_text", delimiter=" "),  # np.savetxt writes blanks
        InputFormat("npy", "npy"),
        InputFormat("npz", "npz", indexed=True, archive=True),
        InputFormat("safetensors", "safetensors_archive", indexed=True, archive=True),
        InputFormat("parquet", "columnar", indexed=True),
        InputFormat("arrow", "columnar", indexed=True),
        InputFormat("feather", "columnar", indexed=True),
        InputFormat("ndjson", "ndjson"),
        InputFormat("jsonl", "ndjson"),
        InputFormat("json", "json_table"),
    )
}
_ARCHIVES = "|".join(entry.name for entry in FORMATS.values() if entry.archive)
_MEMBER = re.compile(rf"(.+\.(?:{_ARCHIVES})):(.+)", re.IGNORECASE | re.DOTALL)  # an archive and the name of a member
# What to do with files that are not read, by suffix.
_CURES = {
    **dict.fromkeys(("xlsx", "xls", "xlsm", "ods"), "spreadsheets are not read: save the sheet as CSV"),
    **dict.fromkeys(
        ("pkl", "pickle", "joblib"), "a pickle runs code, and is not read: np.save('preds.npy', array) in Python"
    ),
    **dict.fromkeys(("h5", "hdf5", "nc"), "HDF5 is not read: np.save('preds.npy', file['NAME'][:]) with h5py"),
    **dict.fromkeys(("pt", "pth", "ckpt"), "tensors: np.save('preds.npy', tensor.numpy()) in Python, or .safetensors"),
    "mat": "MATLAB files are not read: writematrix(x, 'preds.csv'), or scipy.io.loadmat and np.save",
    **dict.fromkeys(("rds", "rdata"), "R's files are not read: write.csv(x, 'preds.csv', row.names = FALSE)"),
    **dict.fromkeys(("dta", "sav", "sas7bdat"), "pandas reads it: pd.read_stata, read_spss or read_sas, then to_csv"),
    **dict.fromkeys(("db", "sqlite", "sqlite3"), "a database: sqlite3 -csv -header FILE 'select …' | lossctl … -"),
    "zip": "an archive, and the name of its file does not tell its format: say --input-format csv.zip",
    **dict.fromkeys(("tar", "tgz", "7z", "rar"), "an archive: extract the file first"),
    "tfrecord": "records of TensorFlow are not read: save arrays with np.save",
    "avro": "Avro is not read: save it as Parquet",
    "orc": "ORC is not read: save it as Parquet",
}
_DELIMITER_NAMES = {"tab": "\t", "\\t": "\t", "blank": " ", "space": " ", "comma": ",", "semicolon": ";"}


def parse_delimiter(text: str) -> str | None:
    r"""Return the delimiter that a text names, which may be the character itself; None stands for runs of blanks.

    >>> parse_delimiter("tab"), parse_delimiter("|"), parse_delimiter("space")
    ('\t', '|', None)
    """
    delimiter = _DELIMITER_NAMES.get(text, text)
    return None if delimiter == " " else delimiter


def suffix_of(path: str) -> str | None:
    """Return the suffix of the format of a path with that of its compression (``.csv.gz``), or None if unknown.

    >>> suffix_of("preds.csv.gz"), suffix_of("data.npz:key"), suffix_of("data.npz.gz"), suffix_of("preds")
    ('.csv.gz', '.npz', None, None)
    """
    path = without_query(path)
    if member := _MEMBER.fullmatch(path):
        path = member[1]
    stem, compression = _split(path.lower())
    _, dot, name = stem.rpartition(".")
    if not dot or name not in FORMATS or (compression and FORMATS[name].indexed):
        return None
    return FORMATS[name].suffix + compression


def tells_format(path: str) -> bool:
    """Return whether the name of a path determines its format; stdin does not."""
    return path != STDIN and suffix_of(path) is not None


def _split(name: str) -> tuple[str, str]:
    """Split a name into the part before the suffix of a compression and that suffix, or ''."""
    compression = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
    return name.removesuffix(compression), compression


def open_source(path: str, options: Options, labels: tuple[str, ...] = ()) -> OpenedFile:
    """Open a path, a glob, a directory or stdin, and read its columns.

    Args:
        path: the path; ``-`` is stdin.
        options: how to read text, and the format if the name does not determine it. The default format of stdin
            is CSV.
        labels: class names, which do not make a first row of text a header; none by default.

    Raises:
        UsageError: the suffix or ``--input-format`` is not a format.
        DataError: the file cannot be opened, or its start is malformed.
    """
    from lossctl.io.shards import ShardedFile, expand_shards

    listed = f"{', '.join(FORMATS)} (and {', '.join(SUFFIXES)} after it, if it is compressed)"
    if options.input_format is not None:
        suffix = suffix_of("." + options.input_format.lower().removeprefix("."))
        if suffix is None or suffix != "." + options.input_format.lower().removeprefix("."):
            name = printable(options.input_format)
            raise UsageError(
                f"--input-format {name!r} is none of {listed}{nearest(options.input_format.lower(), FORMATS)}"
            )
    elif path == STDIN:
        suffix = ".csv"
    else:
        suffix = suffix_of(path) or _suffix_of_zip(path)
    if path != STDIN and (shards := expand_shards(path, (lambda _: suffix) if options.input_format else suffix_of)):
        opener = partial(open_source, options=options, labels=labels)
        return opener(shards[0]) if len(shards) == 1 else ShardedFile(path, shards, opener)
    if suffix is None:
        _check_there(path)
        if cure := _CURES.get(without_query(path).lower().rpartition(".")[2]):
            raise DataError(f"{display_name(path)}: {cure}")
        raise UsageError(
            f"{display_name(path)}: its name does not tell its format: say --input-format, one of {listed}"
        )
    # With `--input-format csv`, the compression of preds.gz still follows from its name.
    name, compression = _split(suffix)
    entry = FORMATS[name.removeprefix(".")]
    member = _MEMBER.fullmatch(path) if entry.archive else None
    file = member[1] if member else path
    origin = Origin(file, compression or _split(without_query(file).lower())[1] or None)
    if entry.indexed and not origin.seekable:
        raise UsageError(
            f"{origin.display_name}: {entry.suffix} files have their index at the end: save it to a plain file first"
        )
    opened = entry.open(origin, options, labels)
    return cast("Archive", opened).member(member[2]) if member else opened


def _suffix_of_zip(path: str) -> str | None:
    """Return the suffix of the file in a zip archive, with ``.zip``; None if the path is none, or cannot be read."""
    if not path.lower().endswith(ZIP) or not os.path.isfile(path):
        return None
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return suffix_of(member_name(archive, display_name(path)) + ZIP)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{display_name(path)}: damaged, or not zip: {str(error).rstrip('.')}") from None


def _check_there(path: str) -> None:
    """Check that a path of unknown format exists and is not a directory, to report that error first.

    The path is not opened, because opening a pipe would wait for its writer. A remote file is not asked for.

    Raises:
        DataError: the path does not exist, is a directory, or is not a valid path.
    """
    if is_remote(path):
        return
    try:
        if os.path.isdir(path):
            raise DataError(f"{display_name(path)}: is a directory")
        os.stat(path)
    except OSError as error:
        raise DataError(f"{display_name(path)}: {reason(error)}") from None
    except ValueError:  # a NUL byte in the path
        raise DataError(f"{display_name(path)}: not a path") from None

"""NPZ archives, as written by np.savez and np.savez_compressed: named NPY files in a zip archive."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import field

from lossctl.errors import DataError, printable
from lossctl.immutable import immutable
from lossctl.io import byte_stream
from lossctl.io.array_archive import ArrayArchive
from lossctl.io.formats import InputFormat
from lossctl.io.npy import NpyFile
from lossctl.io.source import Options

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the two methods that NumPy writes


@immutable
class _Member:
    """The bytes of one array of an archive."""

    path: str
    info: zipfile.ZipInfo = field(compare=False)  # ZipInfo compares by identity; its name is in ``display_name``
    display_name: str

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes of the array in blocks; zipfile verifies the checksum of the archive.

        Raises:
            DataError: the archive is damaged, or uses a compression method that NumPy does not write.
        """
        if self.info.compress_type not in _METHODS:
            raise DataError(
                f"{self.display_name}: compressed in a way that NumPy does not write: np.savez_compressed it again"
            )
        with byte_stream.open_binary(self.path) as file, byte_stream.unchanged(file, self.display_name):
            try:
                with zipfile.ZipFile(file) as archive, archive.open(self.info) as member:
                    while data := member.read(byte_stream.PIECE):
                        yield data
            except (MemoryError, DataError):
                raise
            except Exception as error:  # noqa: BLE001 - BadZipFile, zlib.error, EOFError, RuntimeError of a password, …
                raise _damaged(self.display_name, error) from None


def _damaged(display_name: str, error: Exception) -> DataError:
    return DataError(f"{display_name}: not a readable NPZ (zip) file: {str(error).rstrip('.') or 'it breaks off'}")


def open_file(entry: InputFormat, origin: byte_stream.Origin, options: Options, labels: tuple[str, ...]) -> NpzFile:
    """Open an NPZ archive; see :meth:`lossctl.io.formats.InputFormat.open`."""
    return NpzFile(origin.path)


class NpzFile(ArrayArchive):
    """An opened archive whose list of arrays has been read."""

    def __init__(self, path: str) -> None:
        self._path, name = path, byte_stream.display_name(path)
        with byte_stream.open_binary(path) as file:
            try:
                with zipfile.ZipFile(file) as archive:
                    listed = [i for i in archive.infolist() if i.filename.endswith(".npy")]
            except (MemoryError, DataError):
                raise
            except Exception as error:  # noqa: BLE001 - as above, and struct.error, UnicodeDecodeError, …
                raise _damaged(name, error) from None
        self._members = {i.filename.removesuffix(".npy"): i for i in listed}
        if not listed:
            raise DataError(f"{name}: holds no arrays")
        if len(self._members) < len(listed):
            raise DataError(f"{name}: holds two arrays of one name")
        super().__init__(name, tuple(self._members))

    def _open(self, key: str) -> NpyFile:
        return NpyFile(_Member(self._path, self._members[key], f"{self.display_name}:{printable(key)}"))

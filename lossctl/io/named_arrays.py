"""Files of named arrays: the parameters of a model, or the inputs of a layer."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from importlib import import_module

import numpy as np

from lossctl.errors import DataError, UsageError, printable, quoted
from lossctl.io.byte_stream import display_name, open_binary, unchanged
from lossctl.io.safetensors import SafetensorsFile

_SUFFIXES = (".npz", ".safetensors", ".pt", ".pth")


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """Read all arrays of a file by name.

    Args:
        path: a .npz or .safetensors file, or a ``state_dict`` of PyTorch in .pt or .pth, for which torch must be
            installed. bfloat16 becomes float32, without rounding.

    Raises:
        UsageError: the suffix is another one, or torch is not installed.
        DataError: the file cannot be read, or holds something else.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".safetensors":
        return dict(SafetensorsFile(path))
    if suffix == ".npz":
        return _npz(path)
    if suffix in (".pt", ".pth"):
        return _state_dict(path)
    raise UsageError(f"{display_name(path)}: arrays by name are read from {', '.join(_SUFFIXES)}")


def read_array(path: str) -> np.ndarray:
    """Read the array of a .npy file, of any shape.

    Raises:
        UsageError: the suffix is another one.
        DataError: the file cannot be read.
    """
    name = display_name(path)
    if os.path.splitext(path)[1].lower() != ".npy":
        raise UsageError(f"{name}: one array is read from .npy")
    with open_binary(path) as file, unchanged(file, name):
        try:
            array: np.ndarray = np.load(file, allow_pickle=False)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever NumPy raises
            cause = printable(str(error).partition("\n")[0])
            raise DataError(f"{name}: not a readable NPY file of numbers: {cause}") from None
    return array


def _npz(path: str) -> dict[str, np.ndarray]:
    name = display_name(path)
    with open_binary(path) as file, unchanged(file, name):
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever zipfile, zlib and NumPy raise
            cause = printable(str(error).partition("\n")[0])
            raise DataError(f"{name}: not a readable NPZ file of numbers: {cause}") from None
    if not arrays:
        raise DataError(f"{name}: holds no arrays")
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy returns the bytes of a member of another format
            raise DataError(f"{name}: {quoted(key)} is no array")
    return arrays


def _state_dict(path: str) -> dict[str, np.ndarray]:
    name = display_name(path)
    with open_binary(path) as file, unchanged(file, name):
        try:
            torch = import_module("torch")
        except ImportError:
            raise UsageError(f"{name}: reading it needs torch: save the state_dict as .safetensors or .npz") from None
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # its message is about turning weights_only off
            raise DataError(f"{name}: not a state_dict of tensors: save model.state_dict()") from None
        except Exception as error:  # noqa: BLE001 - whatever pickle, zipfile and torch raise
            cause = printable(str(error).partition("\n")[0])
            raise DataError(f"{name}: not a readable state_dict: {cause}") from None
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise DataError(f"{name}: not a state_dict of tensors: save model.state_dict()")
    wide = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor for tensor in state.values())
    return {str(key): tensor.detach().numpy().copy() for key, tensor in zip(state, wide, strict=True)}

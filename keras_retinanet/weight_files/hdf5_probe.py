"""Walks through an HDF5 file in a process of its own: the library behind h5py may crash on a damaged one.

    python hdf5_probe.py FILE

Ends with 0 where everything that names and describes arrays can be read. Imports nothing of this package.
"""

from __future__ import annotations

import sys
from typing import Any

import h5py


def visit(name: str, item: Any) -> None:
    """Reads the attributes of a group or an array, and the numbers of arrays that are stored in chunks."""
    del name
    for attribute in item.attrs:
        item.attrs[attribute]
    if isinstance(item, h5py.Dataset):
        shape, kind = item.shape, item.dtype
        is_own = not item.external and not item.is_virtual
        if item.chunks and is_own and item.nbytes <= 2000 * max(item.id.get_storage_size(), 1):
            item[()]
        del shape, kind


def main(path: str) -> int:
    """Exit status: 0 for a file that can be walked through, 1 for one that h5py refuses."""
    try:
        with h5py.File(path, "r") as file:
            visit("/", file)
            file.visititems(visit)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""Reads through an HDF5 file in a separate process, since the HDF5 library may crash on a damaged one.

    python hdf5_probe.py FILE

The exit status is 0 if all names and descriptions of arrays can be read. Imports nothing of this package.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py

GROWTH = 16
"""Bytes of memory that may be allocated per byte of the file."""


def visit(name: str, item: Any) -> None:
    """Reads the attributes of a group or an array, and the values of chunked arrays."""
    del name
    for attribute in item.attrs:
        item.attrs[attribute]
    if isinstance(item, h5py.Dataset):
        shape, kind = item.shape, item.dtype
        is_own = not item.external and not item.is_virtual
        if item.chunks and is_own and holds_its_numbers(item):
            item[()]
        del shape, kind


def holds_its_numbers(dataset: h5py.Dataset) -> bool:
    """Whether an array's size in the file is plausible for its size in memory: weights can hardly be compressed."""
    return bool(dataset.nbytes <= 2**24 + GROWTH * dataset.id.get_storage_size())


def limit(size: int) -> None:
    """Limits memory and CPU time of this process in proportion to the size of a file (on Linux)."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        memory, seconds = used + 2**29 + GROWTH * size, 60 + size // 10**7
        for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds)):
            allowed = resource.getrlimit(kind)[1]
            most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
            resource.setrlimit(kind, (most, allowed))
    except (ImportError, OSError, ValueError):
        return


def main(path: str) -> int:
    """Exit status: 0 if the file can be read, 1 if h5py raises an error."""
    limit(Path(path).stat().st_size)
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

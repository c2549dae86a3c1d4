"""The part of every batch that one of several processes reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchShare:
    """Which images of every batch, and of a data set that is measured, a process reads.

    Attributes:
        index: Number of this process, from 0.
        count: Processes that share every batch.
        multiple: Devices of a process, which divide its part among them.
    """

    index: int = 0
    count: int = 1
    multiple: int = 1

    def rows(self, batch_size: int) -> slice:
        """The images of a batch that this process reads: parts differ by one image at most.

        Args:
            batch_size: Images of the batch.

        Returns:
            Their places in the batch.
        """
        return slice(self.index * batch_size // self.count, (self.index + 1) * batch_size // self.count)

    def size(self, batch_size: int) -> int:
        """Rows of this process' part: its images, filled up so that all parts are equal and devices can divide them.

        Args:
            batch_size: Images of the whole batch.

        Returns:
            The same number in every process.
        """
        largest = -(-batch_size // self.count)
        return -(-largest // self.multiple) * self.multiple


WHOLE = BatchShare()
"""One process reads everything."""

"""The experiments of the focal loss paper on any data set: planned, run one after the other, and compared with it."""

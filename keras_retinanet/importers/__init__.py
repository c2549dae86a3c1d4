"""Foreign checkpoints, read without running anything that they contain.

This file stays empty of imports: backbones read weight files through `importers.torch_file`, while importers of whole
detectors build on `retinanet`, which builds on backbones.
"""

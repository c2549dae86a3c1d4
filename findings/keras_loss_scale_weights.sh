#!/usr/bin/env bash
# Keras 3.15.1: `keras.optimizers.LossScaleOptimizer.set_weights`, the optimizer of every float16 run.
#
# Guess before running: `other.set_weights([... for v in optimizer.variables])` restores all of them, or raises.
#
# Seen: `variables` lists the wrapper's four variables and after them those of the optimizer inside (iteration, rate,
# momentums). `set_weights` takes the whole list without a word and assigns the first four: scale and its counters are
# restored, momentum and iteration are not. Saving and loading a `.keras` file restores all of them.
#
# Why it matters: a training that is resumed from arrays (a checkpoint of its own, a NumPy file, values sent to another
# process) continues in float32 exactly, and in float16 with momentum zero and the schedule at step 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 tensorflow==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 "$folder/venv/bin/python" - "$folder" <<'PY'
import sys

import keras
import numpy as np


def make_optimizer(is_wrapped):
    inner = keras.optimizers.SGD(0.1, momentum=0.9)
    return keras.optimizers.LossScaleOptimizer(inner, initial_scale=8.0) if is_wrapped else inner


def values(optimizer):
    return [keras.ops.convert_to_numpy(each) for each in optimizer.variables]


for is_wrapped in (False, True):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(make_optimizer(is_wrapped), "mse")
    model.fit(np.ones((16, 2)), np.ones((16, 1)), epochs=3, verbose=0)
    trained = values(model.optimizer)
    copy = make_optimizer(is_wrapped)
    copy.build(model.trainable_variables)
    copy.set_weights(trained)
    is_equal = [bool(np.array_equal(one, other)) for one, other in zip(trained, values(copy), strict=True)]
    model.save(f"{sys.argv[1]}/model.keras")
    loaded = values(keras.models.load_model(f"{sys.argv[1]}/model.keras").optimizer)
    from_file = [bool(np.array_equal(one, other)) for one, other in zip(trained, loaded, strict=True)]
    print("LossScaleOptimizer" if is_wrapped else "SGD", dict(zip([v.path for v in copy.variables], is_equal, strict=True)))
    assert all(from_file)
    if not is_wrapped:
        assert all(is_equal)
        continue
    assert not is_equal[4]  # iteration of the optimizer inside
    assert not any(is_equal[6:]) and len(is_equal) == 8  # its momentums; the rate between them was equal before
    assert all(is_equal[:4])
PY

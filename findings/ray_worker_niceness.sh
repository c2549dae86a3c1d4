#!/usr/bin/env bash
# Ray 2.60.0: the priority of its workers on a machine that other programs use as well.
#
# Guess before running: a task runs at the priority of the program that calls it.
#
# Seen: workers run at nice 15, the lowest but four. A task that asks for one core (num_cpus=1) gets a thirtieth of what
# another program on that core gets: Linux gives nice 15 a weight of 36, nice 0 one of 1024. Ray's own processes stay at
# nice 0. The environment variable RAY_worker_niceness=0 of the program that starts Ray changes it.
#
# Why it matters: on a shared workstation, or beside any other load, training by Ray Train and detection by Ray Data
# nearly stand still, while the same command without Ray takes its share. Nothing that Ray prints says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ray==2.60.0
cat > "$folder/show.py" <<'PY'
import os
import sys

import ray

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _temp_dir=sys.argv[2])
found = ray.get(ray.remote(lambda: os.nice(0)).remote())
print(f"RAY_worker_niceness={os.environ.get('RAY_worker_niceness')}: driver {os.nice(0)}, worker {found}")
assert found == int(sys.argv[1]), found
PY
export RAY_USAGE_STATS_ENABLED=0
"$folder/venv/bin/python" "$folder/show.py" 15 "$folder/one"
RAY_worker_niceness=0 "$folder/venv/bin/python" "$folder/show.py" 0 "$folder/two"

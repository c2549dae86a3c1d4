import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import ctypes, sys, threading
from keras_retinanet.heap import use_few_heaps
if sys.argv[1] == "few":
    use_few_heaps()
barrier = threading.Barrier(12)
def allocate():
    kept = []
    for _ in range(3):
        barrier.wait()
        kept.append(bytearray(50_000))
    barrier.wait()
threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
c = ctypes.CDLL(None)
c.malloc_info(0, ctypes.c_void_p.in_dll(c, "stdout"))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other heaps")
def test_threads_share_a_heap_between_four_cores():
    def heaps(how: str, **variables: str) -> int:
        kept = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
        command = [sys.executable, "-c", COUNT, how]
        answer = subprocess.run(command, env=kept | variables, capture_output=True, text=True, check=True)
        return answer.stdout.count("<heap nr=")

    limit = -(-os.cpu_count() // 4)
    assert heaps("few") <= limit
    assert heaps("few", MALLOC_ARENA_MAX="3") <= 3, "what the user says has precedence"
    if limit < 4:  # so that twelve threads show the difference
        assert heaps("few") < heaps("many")
        assert limit < heaps("few", MALLOC_ARENA_MAX="6")


FAULTS = """
import resource, sys
from keras_retinanet.heap import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    size = len(b"x" * 2**26)  # allocated, written and freed
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(pages(), pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other heaps")
def test_freed_memory_is_used_again() -> None:
    def pages(how: str, **variables: str) -> tuple[int, int]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        command = [sys.executable, "-c", FAULTS, how]
        answer = subprocess.run(command, env=kept | variables, capture_output=True, text=True, check=True)
        first, second = map(int, answer.stdout.split())
        return first, second

    first, second = pages("keep")
    assert second < first / 8, "64 MiB are used a second time without new pages"
    first, second = pages("plain")
    assert second > first / 2
    first, second = pages("keep", MALLOC_MMAP_MAX_="65536")
    assert second > first / 2, "what the user says has precedence"

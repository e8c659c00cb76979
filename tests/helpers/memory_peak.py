"""How much memory a call takes."""

import gc
import tracemalloc


def peak(function, *args):
    """Bytes that a call allocates at most, with all that it prepares."""
    gc.collect()  # of what other tests left
    tracemalloc.start()
    try:
        function(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

"""Control flow that is traced and differentiated: choices and loops on traced values."""

from pullback.transform.control.associative import associative_scan
from pullback.transform.control.branch import cond, switch
from pullback.transform.control.scan import fori_loop, map, scan
from pullback.transform.control.while_loop import while_loop

__all__ = ["associative_scan", "cond", "fori_loop", "map", "scan", "switch", "while_loop"]

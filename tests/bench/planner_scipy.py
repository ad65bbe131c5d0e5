"""Run in a venv with scipy: a programme as JSON on stdin, time and memory on stdout."""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, vstack


def main() -> None:
    model = json.load(sys.stdin)
    began = time.process_time()
    shape = (len(model["row_low"]), len(model["cost"]))
    rows = csr_matrix((model["value"], model["index"], model["starts"]), shape)
    low, high = np.array(model["row_low"]), np.array(model["row_high"])
    equal = low == high
    upper, lower = (high < 1e29) & ~equal, (low > -1e29) & ~equal
    done = linprog(
        model["cost"],
        A_ub=vstack([rows[upper], -rows[lower]]),
        b_ub=np.concatenate([high[upper], -low[lower]]),
        A_eq=rows[equal],
        b_eq=low[equal],
        bounds=[
            (a, None if b > 1e29 else b)
            for a, b in zip(model["low"], model["high"], strict=True)
        ],
        method="highs",
    )
    took = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    print(json.dumps({"ms": took * 1e3, "mib": peak, "cost": done.fun}))


if __name__ == "__main__":
    main()

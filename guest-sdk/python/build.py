#!/usr/bin/env python3
"""Compiles a workflow in Python to a component: `python build.py WORKFLOW.py -o OUT.wasm`. See README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mainspring_build.__main__ import main  # noqa: E402  (found by the line above)

if __name__ == "__main__":
    sys.exit(main())

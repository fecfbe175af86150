"""The command line: exit code 0 for a component, 1 for a workflow that cannot be one, 2 for a wrong call."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .build import BuildError, build


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="build.py", description="Compiles workflows in Python to a WebAssembly component for Mainspring."
    )
    parser.add_argument(
        "workflow", type=Path, nargs="+", help="a file with classes that are decorated with @workflow.defn"
    )
    parser.add_argument("-o", "--output", type=Path, help="the component; beside the workflow where it is not given")
    parser.add_argument(
        "-p",
        "--path",
        type=Path,
        action="append",
        default=[],
        help="a further folder that the workflow imports from; the workflow's own is one already",
    )
    parser.add_argument("--wit", type=Path, help="the folder of Mainspring's WIT files; found where it is not given")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    try:
        built = build(options.workflow, options.output, paths=options.path, wit=options.wit)
    except BuildError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if options.json:
        print(json.dumps({"file": str(built.file), "size_bytes": built.size_bytes, "workflows": built.workflows}))
    else:
        size = built.size_bytes / 1_000_000
        print(f"{built.file}: {size:.1f} MB, workflow types: {', '.join(built.workflows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

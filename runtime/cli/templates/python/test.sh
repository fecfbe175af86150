#!/bin/sh
# Builds the workflow and replays a recorded run of it: it must do what it did then.
set -e
cd "$(dirname "$0")"
mainspring="${MAINSPRING:-mainspring}"
"$mainspring" build . -o {{name}}.wasm
"$mainspring" replay --module {{name}}.wasm --history test/greet.json

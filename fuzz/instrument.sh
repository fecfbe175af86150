#!/bin/sh
# The compiler of our own crates while they are fuzzed (RUSTC_WORKSPACE_WRAPPER): it notes which branches are taken and
# what is compared. Dependencies are left as they are, so that none of them is built again.
name=""
previous=""
for argument in "$@"; do
    test "$previous" = --crate-name && name=$argument
    previous=$argument
done
case $name in
mainspring_api | mainspring_core | mainspring_store | mainspring_sandbox | mainspring_engine | mainspring_server) link="" ;;
mainspring_fuzz) link="" ;;
fuzz_*) link="-Clink-arg=$FUZZER_RUNTIME -Clink-arg=-lstdc++ -Clink-arg=-lm" ;;
*) exec "$@" ;;
esac
exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares $link

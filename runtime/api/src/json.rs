//! Canonical protobuf JSON, as the `temporal` CLI prints and reads it.

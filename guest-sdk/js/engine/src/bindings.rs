//! What `wit-bindgen` makes of `wit/`.
#![allow(unsafe_code, missing_docs, clippy::all)]

wit_bindgen::generate!({
    world: "workflow",
    path: "../../../wit",
    pub_export_macro: true,
});

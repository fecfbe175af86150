//! What `wit-bindgen` makes of `wit/`: the only module with unsafe code. The rest of the crate wraps it.
#![allow(unsafe_code, missing_docs, clippy::all)]

wit_bindgen::generate!({
    world: "workflow",
    path: "../../wit",
    additional_derives: [PartialEq],
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "::mainspring_workflow::bindings",
});

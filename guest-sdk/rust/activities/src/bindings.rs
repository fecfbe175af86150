//! What `wit-bindgen` makes of `wit/activity/`: the only module with unsafe code. The rest of the crate wraps it.
#![allow(unsafe_code, missing_docs, clippy::all)]

wit_bindgen::generate!({
    world: "mainspring:activity/activities",
    path: ["../../../wit", "../../../wit/activity"],
    with: {
        "mainspring:workflow/types@0.1.0": mainspring_workflow::bindings::mainspring::workflow::types,
        "mainspring:workflow/log@0.1.0": mainspring_workflow::bindings::mainspring::workflow::log,
    },
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "::mainspring_activity::bindings",
});

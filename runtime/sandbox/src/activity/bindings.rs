//! The world `mainspring:activity/activities`, as wasmtime sees it. Generated from the WIT files in `wit/activity/`.

wasmtime::component::bindgen!({
    path: ["../../wit", "../../wit/activity"],
    world: "mainspring:activity/activities",
    imports: {
        "mainspring:activity/context.heartbeat": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "mainspring:workflow/types": crate::bindings::types,
        "mainspring:workflow/log": crate::bindings::log,
    },
});

pub use self::mainspring::activity::*;

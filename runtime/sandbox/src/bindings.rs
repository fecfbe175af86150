//! The world `mainspring:workflow/workflow`, as wasmtime sees it. Generated from the WIT files in `wit/`.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "workflow",
    imports: { default: trappable },
    additional_derives: [Clone, PartialEq],
});

pub use self::mainspring::workflow::*;

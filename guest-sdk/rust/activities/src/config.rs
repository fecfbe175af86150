//! The values that the deployment was granted with `--env`. `std::env::var` reads the same.

/// The value of this name, if it was granted.
pub fn get(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// All of them, by name in order.
pub fn all() -> Vec<(String, String)> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::mainspring::activity::config::get_all();
    #[cfg(not(target_arch = "wasm32"))]
    Vec::new()
}

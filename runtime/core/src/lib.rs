//! x
pub mod limits;

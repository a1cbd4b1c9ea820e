//! Durations ("200ms", "1m30s") and sizes ("64KiB") as text: serde `with` modules.
pub mod duration;
pub mod size;

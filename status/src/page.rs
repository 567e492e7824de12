//! The page: one document, which asks for the JSON and shows it.

/// The document.
pub const PAGE: &str = include_str!(concat!(env!("OUT_DIR"), "/page.html"));

/// Its Content-Security-Policy: nothing but its own script and style, by their hashes, and requests to where
/// it came from.
pub const POLICY: &str = env!("PAGE_POLICY");

/// What people load to see whether all is well has to come at once.
const _: () = assert!(PAGE.len() <= 40 * 1024);

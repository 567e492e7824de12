//! What is there to measure with.

use std::path::PathBuf;

/// What peers are made of, and where.
#[derive(Clone)]
pub struct Setup {
    pub nginx: PathBuf,
    pub module: PathBuf,
    /// Another build of the module, to compare it with.
    pub before: Option<PathBuf>,
    /// Where the other proxies are.
    pub programs: Option<PathBuf>,
    /// What they run under.
    pub wrap: Vec<String>,
    /// Where they run; what was in it is lost.
    pub directory: PathBuf,
}

//! How what goes wrong is told: in words, to whoever runs this.

use std::error::Error;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

//! What the targets share: how an input is taken apart, and values that are read slowly and obviously.

pub mod input;
pub mod list;
pub mod text;

//! Thin wrappers over nginx's C interface: the only place that knows how its structures are laid
//! out, so that the rest of the module can be read as what it does.

pub mod conf;
pub mod pool;
pub mod request;
pub mod string;

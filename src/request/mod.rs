//! What the module remembers of a request, and what it is to it.
//!
//! Only a request that asks for a WebSocket is remembered, as an [`Attempt`]. What becomes of it is
//! one [`State`], and `state` has all of its transitions.

mod access;
pub mod attempt;
mod context;
mod remark;
pub mod state;
mod tries;

pub use context::{Attempt, Broken, begin, in_place, of};
pub use state::{Carrier, Ending, Joined, Stage, State};
pub use tries::Tries;

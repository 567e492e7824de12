//! The life of an established connection between two peers and a proxy in the middle.
//!
//! [`Tunnel`] decides, and does nothing: it owns no socket, no buffer and no timer. Whoever has those
//! tells it what happened and asks what to do, as with any protocol that is written without I/O.

mod bounds;
mod choice;
mod clock;
mod close;
mod credit;
mod delivery;
mod direction;
mod events;
mod farewell;
mod flood;
mod guard;
mod lifetime;
mod limits;
mod next;
mod ours;
mod pair;
mod pong;
mod saved;
mod state;
mod summary;
mod text;
mod time;
mod traffic;
mod write;

pub use bounds::{Bounds, Excess, MessageRate};
pub use close::CLOSE_TIMEOUT;
pub use delivery::{Queue, Share};
pub use farewell::Farewell;
pub use flood::{Flood, Sizes};
pub use guard::Guard;
pub use lifetime::Lifetime;
pub use limits::{Limits, Ping, PingTo, Side};
pub use next::Next;
pub use saved::Saved;
pub use state::Tunnel;
pub use summary::{Count, Delays, End, Reason, Summary};
pub use text::{CloseText, Piece};
pub use time::Time;
pub use traffic::Traffic;
pub use write::Write;

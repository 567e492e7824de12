//! `websocket_handover`: tunnels go from a worker that is to exit to one that has come in its place, be it of
//! another configuration or another binary.
//!
//! What goes is [`websocket_protocol::handover`]'s message and both sockets, over a channel that all
//! generations of workers have. The worker that gets them makes a client's connection of one, and has nginx
//! read the request on it once more: from the message. So the request runs through all phases of the new
//! configuration, which counts it, chooses its server and may refuse it, until it comes to its upstream. That
//! is the other socket; the answer is read from the message, too, and what nginx would send to either side
//! is dropped. When the tunnel begins, it goes on where it stopped, and the sockets are read and written
//! again.

mod adopt;
mod arrival;
mod channel;
mod choose;
mod depart;
mod detach;
mod guide;
mod heads;
mod listening;
mod memory;
mod pack;
mod parcel;
mod phases;
mod receive;
mod replay;
mod tally;
mod turn_away;
mod worker;

pub use arrival::{Arrival, forget, handovers, of};
pub use guide::guide;
pub use phases::arrange;
pub use replay::{end_replay, is_arriving, is_turned_away, land};
pub use tally::note;
pub use turn_away::{close, shut};
pub use worker::{in_force, init_process};

//! What workers count, and which tunnels they carry, in memory that they share.
//!
//! The memory is a slice of words. Each worker has a [`Writer`] that owns one slot of it and writes
//! only what belongs to that slot, with plain relaxed stores; a [`Zone`] reads, and sums. There is no
//! lock, and nothing here is nginx's: where the memory comes from, and how it is known that a worker is
//! gone, is the caller's.
//!
//! - *Counters never move.* Those of a worker stay in its slot when it goes, and the next one of the
//!   slot goes on adding to them. So nothing is counted twice and nothing goes down, whenever a process
//!   dies.
//! - *Whoever finds a slot's worker gone* cleans up behind it: its tunnels are noted as lost and leave
//!   the table. That can be done again from the start if it is interrupted.
//! - *Ids of causes, reasons, labels and upstreams* are places in tables of names in the memory, so that
//!   another version of the program, with more of them, goes on with the same memory.
//!
//! Apart from that a [`Roster`] says which servers a configuration has, to workers of the one before it.
//!
//! ```
//! use core::sync::atomic::AtomicU64;
//! use websocket_zone::{Alone, Memory, Place, Writer, Zone};
//!
//! let words: Vec<AtomicU64> = (0..64 * 1024).map(|_| AtomicU64::new(0)).collect();
//! let zone = Zone::create(&words, Memory { name: b"one", history: 16, started: 0 }).unwrap();
//! let writer = Writer::claim(zone, &Alone).unwrap();
//! let label = writer.label(b"example.com /chat");
//! writer.attempt(label);
//! let meter = writer.established(label, &Place::default(), 12, 0, 0);
//! assert_eq!(zone.totals().active(), 1);
//! # let _ = meter;
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_std)]

mod blocks;
mod cidr;
mod count;
mod counters;
mod header;
mod histogram;
mod known;
mod layout;
mod mailbox;
mod names;
mod read;
mod record;
mod rings;
mod roster;
mod slots;
mod table;
mod text;
mod words;
mod writer;
mod zone;

pub use cidr::Cidr;
pub use count::{Failed, Meter, Noted};
pub use counters::{CauseName, Closes, Code, Counters, UpstreamCounters};
pub use header::Memory;
pub use histogram::{BOUNDS, Histogram, Kind};
pub use mailbox::{Action, Facts, Progress, Which};
pub use read::{Label, Upstream};
pub use record::{Place, Who};
pub use rings::{Ended, Failure, Over};
pub use roster::Roster;
pub use slots::{Alone, Owners};
pub use table::{Numbers, Tunnel};
pub use text::Text;
pub use writer::{Full, LabelId, Writer};
pub use zone::Zone;

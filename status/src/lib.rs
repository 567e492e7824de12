//! What the [zone](websocket_zone) holds, as bytes: JSON, Prometheus' metrics, and the page that shows
//! them; and what a request to close tunnels means, and whether it may.
//!
//! Nothing here allocates or waits. An [`Answer`] fills whatever room it is given, and goes on where it was
//! when it is given more; each step is short, however much there is in the zone.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_std)]

mod about;
mod accept;
mod answer;
mod ask;
mod control;
mod families;
mod format;
mod items;
mod json;
mod metrics;
mod order;
mod out;
mod page;
mod query;
mod report;
mod samples;
mod show;
mod source;

pub use about::About;
pub use answer::{Answer, Filled};
pub use ask::{Ask, format};
pub use control::{Close, Closing, Count, Forbidden, Meant, Sender, action, write_error};
pub use format::Format;
pub use metrics::Metrics;
pub use order::Entry;
pub use page::{PAGE, POLICY};
pub use query::Wrong;
pub use report::Report;

//! The tunnel: what it carries, how long, within which bounds, and how it ends.

mod case;
mod daemon;
mod duplex;

mod answers;
mod bounds;
mod closes;
mod configuration;
mod drain;
mod ends;
mod fairness;
mod ping;
mod pump;
mod soak;
mod stress;
mod stuck;
mod time;
mod upstream_drain;
mod upstream_drain_workers;

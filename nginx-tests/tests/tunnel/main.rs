//! The tunnel: what it carries, how long, within which bounds, and how it ends.

mod case;
mod duplex;

mod answers;
mod bounds;
mod closes;
mod configuration;
mod dead;
mod drain;
mod ends;
mod fairness;
mod flood;
mod idle;
mod lifetime;
mod lowat;
mod message_rate;
mod message_timeout;
mod ping;
mod pump;
mod slow;
mod soak;
mod stress;
mod stuck;
mod time;
mod upstream_drain;
mod upstream_drain_workers;

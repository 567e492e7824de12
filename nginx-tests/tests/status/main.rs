//! `websocket_status` and `websocket_control`, through a real nginx.

mod case;
mod configuration;
mod control;
mod formats;
mod handover;
mod hostile;
mod many;
mod metrics;
mod observing;
mod parts;
mod slices;
mod values;

/// The zone, mapped as another process would.
#[path = "../zone/memory.rs"]
#[allow(dead_code)]
mod memory;

//! `websocket_zone`: what is counted, against what was done. The tests read the memory that the workers
//! share as another process would.

mod closing;
mod configuration;
mod counting;
mod handover;
mod listing;
mod lives;
mod memory;
mod slots;
mod upgrade;

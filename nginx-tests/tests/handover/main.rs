//! `websocket_handover`: tunnels that go from one worker to another.

mod case;

mod basic;
mod beside;
mod carried;
mod chaos;
mod cost;
mod faults;
mod forms;
mod limits;
mod refused;
mod traffic;
mod upgrade;

//! A whole tunnel without nginx: sockets that take and give what a test says, and a clock that stands
//! until it is moved.

mod answers;
mod bounds;
mod bytes;
mod case;
mod closes;
mod dead;
mod delivery;
mod departs;
mod ends;
mod moves;
mod orders;
mod passage;
mod silence;
mod steps;
mod time;
mod traffic;
mod wire;
mod world;

//! The handshake's rules: what nginx answers by itself, what it passes on, and what it says.

mod answers;
mod case;
mod left_behind;
mod lenient;
mod other_upgrades;
mod plain;
mod right;
mod safe;
mod strict;
mod subprotocols;
mod unasked;
mod variables;

//! What an attacker would try of a proxy that carries WebSocket. The table of `docs/robustness.md` names a test
//! for each attack; those that are not here are beside what they are about.

mod behind;
mod case;
mod frames;
mod hijacking;
mod servers;
mod slow;
mod smuggling;

//! Answers are what they have to be, whatever is in the zone.

mod control;
mod json;
mod metrics;
mod world;

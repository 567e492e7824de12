//! What `docs/applications.md` says of applications, tried with the applications themselves.
//!
//! Slow, and not among the ordinary tests: `scripts/test.sh --applications` installs what they need
//! and runs them. The servers and clients are in `nginx-tests/applications`. One that isn't installed
//! is skipped, with its reason printed.

mod check;
mod not_run;
mod page;
mod program;
mod stage;
mod table;

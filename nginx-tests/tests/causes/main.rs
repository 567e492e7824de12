//! Every cause, produced for real, and all that the module says and refuses around it.
//!
//! The tests of a cause are declared by [`causes!`](macro@case::causes), which also notes that
//! they are there: `every_cause_has_a_test` fails for a variant without one.

mod case;
mod dns;

mod answer;
mod local;
mod reaching;
mod request;
mod resources;

mod docs;
mod lines;
mod origin;
mod plain;
mod redirects;
mod refused;
mod remark;
mod secrets;
mod variables;
mod verify;

use websocket_protocol::Cause;

#[test]
fn every_cause_has_a_test() {
    let tested = [
        request::TESTED,
        local::TESTED,
        reaching::TESTED,
        resources::TESTED,
        answer::TESTED,
    ]
    .concat();
    let untested: Vec<_> = Cause::ALL
        .iter()
        .filter(|cause| !tested.contains(cause))
        .collect();
    assert!(untested.is_empty(), "without a test: {untested:?}");
}

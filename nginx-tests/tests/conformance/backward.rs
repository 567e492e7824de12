//! Cases for clients: who plays them is the server, and a client that sends back what it gets is tested.

use crate::parties::Parties;
use crate::ways::same_verdicts;

#[test]
fn a_client_gets_the_same_verdicts_through_nginx() {
    let Some(parties) = Parties::start() else {
        return;
    };
    let ports = [false, true].map(|tls| parties.testing_port(tls));
    same_verdicts(parties, ports, Parties::come_to);
}

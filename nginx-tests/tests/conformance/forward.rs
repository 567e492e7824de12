//! Cases for servers: who plays them is the client, and an echo server is tested.

use crate::parties::Parties;
use crate::ways::same_verdicts;

#[test]
fn a_server_gets_the_same_verdicts_behind_nginx() {
    let Some(parties) = Parties::start() else {
        return;
    };
    let ports = [false, true].map(|tls| parties.tested_port(tls));
    same_verdicts(parties, ports, Parties::play_to);
}

//! A limit that a case goes over is what its verdict differs by, and the code says so.

use crate::parties::{Parties, split};
use crate::ways::nginx;

/// Messages of 64 KB to 16 MB, whole and in fragments: 9.1.1 is within the limit.
const CASES: &str = "1.1.8,5.3,9.1.1,9.1.2,9.1.3,9.1.6,9.2.1,9.2.2,9.3.1,9.4.9";
const WITHIN: [&str; 4] = ["1.1.8", "5.3", "9.1.1", "9.2.1"];

#[test]
fn a_message_over_the_limit_is_answered_with_1009_and_nothing_else_differs() {
    let Some(mut parties) = Parties::start() else {
        return;
    };
    let (cases, plain, tls) = (
        split(CASES),
        parties.tested_port(false),
        parties.tested_port(true),
    );
    let direct = parties.play_to(plain, false, &cases);
    let nginx = nginx(&parties, "websocket_max_message_size 100k;", plain, tls);
    let through = parties.play_to(nginx.port(), false, &cases);
    assert_eq!(direct.len(), cases.len());
    for (direct, through) in direct.iter().zip(&through) {
        assert_eq!(direct.case, through.case);
        assert_eq!(
            (&*direct.verdict.behavior, direct.verdict.code),
            ("OK", Some(1000))
        );
        if WITHIN.contains(&&*direct.case) {
            assert_eq!(direct.verdict, through.verdict, "{through:?}");
        } else {
            let verdict = &through.verdict;
            assert_eq!(
                (&*verdict.behavior, verdict.code),
                ("FAILED", Some(1009)),
                "{through:?}"
            );
        }
    }
}

//! Waiting for a condition, never for a fixed time.

use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::environment::slowness;

/// How long any wait of the harness may take before the test fails: ten seconds of an ordinary
/// nginx.
pub static DEADLINE: LazyLock<Duration> = LazyLock::new(|| patient(Duration::from_secs(10)));

const POLL: Duration = Duration::from_millis(2);

/// What takes an ordinary nginx this time takes the nginx under test this long.
pub fn patient(time: Duration) -> Duration {
    time * slowness()
}

/// Waits until `look` finds something and returns it; panics with `what` after [`DEADLINE`].
#[track_caller]
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_within(*DEADLINE, look).unwrap_or_else(|| panic!("waited {:?} for {what}", *DEADLINE))
}

/// Waits until `condition` holds; panics with `what` after [`DEADLINE`].
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Waits until `look` finds something, or gives `None` once `limit` has passed.
pub fn wait_within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if start.elapsed() > limit {
            return None;
        }
        thread::sleep(POLL);
    }
}

//! Autobahn's cases through nginx: the verdict on each is the one that it has without nginx.
//!
//! The Python package kosoku plays the cases, to a server or as one, and Python's websockets is who is
//! tested (`cases.py`). Where one of them is not installed the tests are skipped, and say so.
//!
//! Without a word all cases are played but those that measure how long something takes; of these there is
//! one of each kind that compresses. `NGINX_TESTS_CASES=all` takes all, and any other value is a list of
//! cases: `NGINX_TESTS_CASES=9.*,12.1.1`. scripts/conformance.sh does.

mod backward;
mod forward;
mod limits;
mod parties;
mod verdict;
mod ways;

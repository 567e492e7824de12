//! What goes wrong around nginx: memory that can't be had, descriptors and disks that are full, clocks that
//! jump. nginx goes on, nothing is left of what was cut short, and a log says why.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `NGINX_TESTS_FAULTS_STEP` | of the calls over TLS, which are OpenSSL's for the most part, one in so many fails | 7 |

mod clock;
mod descriptors;
mod disk;
mod http2;
mod memory;
mod stage;
mod visits;

//! Which requests, answers, lines and tunnels are the module's business, and which are not: those
//! of subrequests, of locations that are off, of nginx's own loop, and of a configuration that
//! never came to run.

mod case;

mod accel;
mod http2;
mod mirror;
mod own_loop;
mod post_action;
mod redirects;
mod reload;
mod variables;

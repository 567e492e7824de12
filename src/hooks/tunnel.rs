//! The tunnel's four event handlers.
use crate::conf::LocationConf;
use crate::nginx::{Request, Upstream};
use crate::request::{Attempt, Carrier};
use crate::tunnel;

pub fn take_over(r: Request<'_>, _u: Upstream<'_>, attempt: &Attempt) -> bool {
    let Some(place) = attempt.make_room(r) else {
        return false;
    };
    if !tunnel::take_over(
        r.as_ptr(),
        unsafe { &*(LocationConf::of(r) as *const _) },
        place,
    ) {
        return false;
    }
    attempt.carry(Carrier::Module(place));
    true
}

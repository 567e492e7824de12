//! What nginx calls. Each file is one place at which nginx hands over; what there is to decide is
//! asked of the layers below.

mod access;
mod access_log;
mod arrive;
pub mod configuration;
mod count;
mod cycle;
mod filters;
mod log_phase;
mod off;
mod own_loop;
mod peer;
mod preaccess;
mod report;
mod seam;
pub mod tunnel;
mod verify;

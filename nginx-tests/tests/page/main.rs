//! The page of `websocket_status` in a headless Chromium, at an nginx whose tunnels are real.

mod case;
mod control;
mod hostile;
mod looks;
mod tunnels;
mod values;

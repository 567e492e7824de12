//! What goes wrong around nginx: memory that can't be had, descriptors and disks that are full, clocks that
//! jump. nginx goes on, nothing is left of what was cut short, and a log says why.

mod clock;
mod descriptors;
mod disk;
mod memory;
mod stage;
mod visits;

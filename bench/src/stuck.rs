//! What a tunnel whose backend reads nothing costs the others of the same page: one proxy has it, and another
//! one of the same kind hasn't. They take turns.

use std::time::Duration;

use crate::load;
use crate::measure::{Laboratory, Run};
use crate::result::Result;
use crate::running::Running;
use crate::scenario::{Kind, Scenario};
use crate::world::World;

/// Long enough for all that takes something to be full.
const FILLING: Duration = Duration::from_secs(1);

impl Laboratory<'_> {
    pub fn stuck(
        &self,
        scenario: &Scenario,
        world: &mut World,
        sides: &[Running],
        run: usize,
    ) -> Result<Run> {
        let plain = matches!(scenario.kind, Kind::Stuck { plain: true });
        for (side, is_beside) in sides.iter().zip([true, false]) {
            let load = load::of_one_page(scenario.connections, plain, is_beside);
            let load = world.add(self.link(scenario, side), load);
            world.slice(load, FILLING)?;
        }
        self.take_turns_of_waiting(scenario, world, sides, run)
    }
}

//! What a crowd of clients that read a byte a second costs those who want little: one proxy has the crowd,
//! and another one of the same kind hasn't. They take turns.

use std::time::Duration;

use crate::figure::Figure;
use crate::figures::Figures;
use crate::load;
use crate::measure::{Laboratory, Run};
use crate::network::ShortQueues;
use crate::process;
use crate::result::Result;
use crate::running::Running;
use crate::scenario::Scenario;
use crate::world::World;

/// Long enough for all queues to be full.
const FILLING: Duration = Duration::from_secs(3);

impl Laboratory<'_> {
    pub fn crowd(
        &self,
        scenario: &Scenario,
        world: &mut World,
        sides: &[Running],
        run: usize,
    ) -> Result<Run> {
        let _short = ShortQueues::set()?;
        let mut held = Vec::new();
        for (side, crowd) in sides.iter().zip([scenario.connections, 0]) {
            let before = [side.memory()?, process::kernel_memory()?];
            let load = world.add(self.link(scenario, side), load::beside_a_crowd(crowd));
            world.slice(load, FILLING)?;
            let after = [side.memory()?, process::kernel_memory()?];
            let tunnels = (crowd + load::TALKERS) as f64;
            let each = |what: usize| (after[what] as f64 - before[what] as f64) / tunnels;
            held.push(Figures::from([
                (Figure::TunnelMemory, each(0)),
                (Figure::KernelMemory, each(1)),
            ]));
        }
        let mut rounds = self.take_turns_of_waiting(scenario, world, sides, run)?;
        for turns in &mut rounds {
            for ((figures, side), held) in turns.iter_mut().zip(sides).zip(&held) {
                figures.extend(held);
                // When all has been measured: no more than at first.
                figures.insert(Figure::Memory, side.memory()? as f64);
            }
        }
        Ok(rounds)
    }
}

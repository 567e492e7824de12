//! The memory that clients cost who read less than is sent to them: in the proxy, in the kernel, and
//! in the proxy when they are gone.

use std::time::Duration;

use crate::figure::Figure;
use crate::figures::Figures;
use crate::measure::{Laboratory, Run, SILENCE};
use crate::process;
use crate::result::Result;
use crate::running::Running;
use crate::scenario::Scenario;
use crate::world::World;

/// How often it is looked whether the backend still gets rid of something.
const STEP: Duration = Duration::from_secs(1);
/// How long that may take, and how long the proxy may take to close what its clients have left.
const MOST_STEPS: usize = 30;

impl Laboratory<'_> {
    /// Peers run alone: their kernel queues would not fit beside one another.
    pub fn slow(&self, scenario: &Scenario, world: &mut World, peers: &[Running]) -> Result<Run> {
        let mut turns = Vec::new();
        for peer in peers {
            turns.push(self.slow_turn(scenario, world, peer)?);
        }
        Ok(vec![turns])
    }

    fn slow_turn(&self, scenario: &Scenario, world: &mut World, peer: &Running) -> Result<Figures> {
        // What a proxy allocates once, for its first tunnels, is not a tunnel's.
        let first = self.add_load(scenario, world, peer, 1);
        world.slice(first, STEP)?;
        world.leave(first);
        world.settle(SILENCE)?;
        let (before, kernel_before) = (peer.memory()?, process::kernel_memory()?);
        let open = world.backend.open();

        let load = self.add_load(scenario, world, peer, scenario.connections);
        until_still(world, load)?;
        let (held, kernel_held) = (peer.memory()?, process::kernel_memory()?);

        world.leave(load);
        until_closed(world, open)?;
        let left = peer.memory()?;

        let each =
            |after: u64, before: u64| (after as f64 - before as f64) / scenario.connections as f64;
        Ok(Figures::from([
            (Figure::TunnelMemory, each(held, before)),
            (Figure::LeftMemory, each(left, before)),
            (Figure::KernelMemory, each(kernel_held, kernel_before)),
        ]))
    }
}

/// Has the clients read until the backend can send nothing more.
fn until_still(world: &mut World, load: usize) -> Result<()> {
    for _ in 0..MOST_STEPS {
        let sent = world.backend.served.frames;
        world.slice(load, STEP)?;
        if world.backend.served.frames == sent {
            return Ok(());
        }
    }
    Err("the backend can go on sending to clients that don't read".into())
}

fn until_closed(world: &mut World, open: usize) -> Result<()> {
    for _ in 0..MOST_STEPS {
        world.settle(SILENCE)?;
        if world.backend.open() <= open {
            return world.settle(SILENCE);
        }
    }
    Err("the proxy keeps connections whose clients are gone".into())
}

//! What a time of work comes to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::figure::Figure;
use crate::flood;
use crate::scenario::{Kind, Scenario};
use crate::statistics::percentile;
use crate::world::Slice;

/// What a peer's turn came to.
pub type Figures = BTreeMap<Figure, f64>;

/// Of a turn in which something was done: each connection ends what it begins. The time of the CPU is in
/// nanoseconds.
pub fn of_turn(scenario: &Scenario, slice: &Slice, cpu: u64) -> Figures {
    let mut figures = of_work(slice, cpu);
    if scenario.payload() > 0 {
        let bytes = slice.operations as f64 * scenario.payload() as f64;
        figures.insert(Figure::Throughput, bytes / 1e6 / slice.wall.as_secs_f64());
    }
    figures
}

/// Of a whole run: what requests waited beside a flood, or messages at their pace, and what that cost.
pub fn waits(scenario: &Scenario, total: Slice, cpu: u64) -> Figures {
    let mut figures = match scenario.kind {
        Kind::Fairness(_) => {
            let bytes = total.messages as f64 * flood::PAYLOAD as f64;
            Figures::from([(Figure::Throughput, bytes / 1e6 / total.wall.as_secs_f64())])
        }
        // Its operations are of two kinds.
        Kind::Stuck { .. } => Figures::new(),
        _ => of_work(&total, cpu),
    };
    figures.insert(Figure::Pause, milliseconds(&total.pause));
    let waits: Vec<f64> = total.waits.iter().map(milliseconds).collect();
    for (figure, part) in [
        (Figure::WaitMedian, 0.5),
        (Figure::WaitP99, 0.99),
        (Figure::WaitP999, 0.999),
        (Figure::WaitLongest, 1.0),
    ] {
        figures.extend(percentile(waits.clone(), part).map(|wait| (figure, wait)));
    }
    // A hundred requests a second have no such percentile.
    if matches!(scenario.kind, Kind::Fairness(_)) {
        figures.remove(&Figure::WaitP999);
    }
    figures
}

fn of_work(slice: &Slice, cpu: u64) -> Figures {
    let cpu = cpu as f64;
    Figures::from([
        (Figure::Cpu, cpu / 1e3 / slice.operations as f64),
        (Figure::Rate, slice.rate()),
        (Figure::Busy, cpu / 1e7 / slice.wall.as_secs_f64()),
    ])
}

fn milliseconds(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

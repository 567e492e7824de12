//! Medians, and how far they can be trusted.

/// Figures of one kind, one for each run.
#[derive(Clone, Debug)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    /// The narrowest pair of runs between which the true median lies with at least 93 %
    /// probability: the least and the most of five runs, less than that of more.
    pub low: f64,
    pub high: f64,
}

const CONFIDENCE: f64 = 0.93;

impl Spread {
    /// `None` of nothing.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (&least, &most) = (sorted.first()?, sorted.last()?);
        let median = middle(&sorted);
        let cut = cut(sorted.len());
        Some(Self {
            median,
            least,
            most,
            low: sorted[cut],
            high: sorted[sorted.len() - 1 - cut],
        })
    }
}

/// The median; `None` of nothing.
pub fn median(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    Spread::of(figures).map(|spread| spread.median)
}

/// What `part` of the figures are at most, the rest at least; `None` of nothing.
pub fn percentile(mut figures: Vec<f64>, part: f64) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let rank = (part * figures.len() as f64).ceil() as usize;
    figures.get(rank.saturating_sub(1)).copied()
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 0 {
        f64::midpoint(sorted[half - 1], sorted[half])
    } else {
        sorted[half]
    }
}

/// How many of `runs` sorted figures can be left out at each end: each run is above the true median
/// with probability one half, whatever the distribution.
fn cut(runs: usize) -> usize {
    let (mut term, mut outside, mut cut) = (0.5_f64.powi(runs as i32), 0.0, 0);
    for left_out in 0..runs / 2 {
        outside += 2.0 * term;
        if 1.0 - outside < CONFIDENCE {
            break;
        }
        cut = left_out;
        term *= (runs - left_out) as f64 / (left_out + 1) as f64;
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::{Spread, cut, percentile};

    #[test]
    fn median_is_in_the_middle() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.least, spread.median, spread.most), (1.0, 2.0, 3.0));
        assert_eq!(Spread::of([1.0, 2.0]).unwrap().median, 1.5);
        assert!(Spread::of([]).is_none());
    }

    #[test]
    fn percentiles_are_figures_that_were_there() {
        let figures: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let at = |part| percentile(figures.clone(), part);
        assert_eq!([0.5, 0.99, 1.0].map(at), [100.0, 198.0, 200.0].map(Some));
        assert_eq!(percentile(vec![7.0], 0.99), Some(7.0));
        assert!(percentile(Vec::new(), 0.5).is_none());
    }

    #[test]
    fn more_runs_leave_more_out() {
        // 2 * (1 + 7) / 2^7 is 12.5 %; 2 * (1 + 8) / 2^8 is 7 %, just too much.
        assert_eq!([1, 2, 5, 7, 8].map(cut), [0, 0, 0, 0, 0]);
        // 2 * (1 + 9) / 2^9 is 3.9 %.
        assert_eq!([9, 15].map(cut), [1, 3]);
    }
}

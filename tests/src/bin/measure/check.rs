//! `make bench-check`: what was measured against what is committed.

use crate::row::{Row, Unit};

/// How far a ratio may be off on a machine with two busy cores, as a part of it, if it is above one.
const NOISE: f64 = 0.15;

/// A line for each ratio that is worse than in `committed` by more than noise and both spreads, and for
/// each that is missing.
pub(crate) fn regressions(committed: &[Row], measured: &[Row]) -> Vec<String> {
    let ratios = committed.iter().filter(|row| row.unit == Unit::Ratio);
    ratios
        .filter_map(|was| {
            let Some(is) = measured.iter().find(|row| row.name == was.name) else {
                return Some(format!("{}: not measured", was.name));
            };
            let noise = NOISE * was.value.max(1.0);
            let bound = was.value + noise.max(was.spread).max(is.spread);
            // A hash row counts speed: there, less is worse.
            let worse = match was.name.starts_with("hash ") {
                true => is.value < was.value * 2.0 - bound,
                false => is.value > bound,
            };
            worse.then(|| format!("{}: {:.2}, was {:.2}", is.name, is.value, was.value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, value: f64, spread: f64) -> Row {
        Row { name: name.to_owned(), value, spread, unit: Unit::Ratio }
    }

    #[test]
    fn only_what_is_worse_than_noise_counts() {
        let committed = [row("pull", 1.0, 0.1), row("hash 1", 1.0, 0.0), row("gone", 1.0, 0.0)];
        let measured = |pull, hash| [row("pull", pull, 0.1), row("hash 1", hash, 0.0)];
        let gone = "gone: not measured";
        assert_eq!(regressions(&committed, &measured(1.1, 0.9)), [gone]);
        let worse = ["pull: 1.30, was 1.00", "hash 1: 0.80, was 1.00", gone];
        assert_eq!(regressions(&committed, &measured(1.3, 0.8)), worse);
        assert_eq!(regressions(&committed, &measured(0.5, 1.6)), [gone]);
        // What spreads over its own bound says nothing.
        let wide = [row("pull", 1.3, 0.8), row("hash 1", 1.0, 0.0)];
        assert_eq!(regressions(&committed, &wide), [gone]);
    }
}

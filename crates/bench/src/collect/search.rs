//! The highest rate that is kept up with, by halving.

use anyhow::Result;

/// Rates are tried in multiples of this.
const GRAIN: u32 = 100;

/// The highest rate between `low`, which is known to be kept up with, and `high` that
/// `keeps_up` says yes to, in `steps` tries: to the `2^steps`th part of the distance.
pub fn highest(
    mut low: u32,
    mut high: u32,
    steps: u32,
    mut keeps_up: impl FnMut(u32) -> Result<bool>,
) -> Result<u32> {
    for _ in 0..steps {
        let middle = u32::midpoint(low, high) / GRAIN * GRAIN;
        if middle <= low {
            break;
        }
        if keeps_up(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(capacity: u32, low: u32, high: u32) {
        let mut tries = 0;
        let found = highest(low, high, 6, |rate| {
            tries += 1;
            Ok(rate <= capacity)
        });
        let (found, reachable) = (found.unwrap(), capacity.min(high));
        assert!(tries <= 6);
        let nearest = (high - low) / 64 + GRAIN;
        assert!(found <= reachable && reachable - found <= nearest, "{found} of {reachable}");
    }

    #[test]
    fn the_rate_found_is_kept_up_with_and_one_a_step_higher_is_not() {
        for capacity in [10_000, 12_345, 17_000, 39_999, 100_000] {
            check(capacity, 10_000, 40_000);
        }
        for capacity in [0, 150, 3_300, 9_999] {
            check(capacity, 0, 10_000);
        }
        check(0, 0, 150);
    }
}

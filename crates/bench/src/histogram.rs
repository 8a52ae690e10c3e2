//! Latencies in fixed buckets: constant memory, no allocation while recording,
//! and at most one per cent off.

/// Each power of two is cut into this many buckets.
const PER_OCTAVE: u64 = 128;
const OCTAVE_BITS: u32 = PER_OCTAVE.ilog2();
const BUCKETS: usize = (64 - OCTAVE_BITS as usize + 1) * PER_OCTAVE as usize;

/// A histogram of nanoseconds.
#[derive(Debug)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// The highest value, exact; none if nothing was recorded.
    pub fn max(&self) -> Option<u64> {
        (self.total > 0).then_some(self.max)
    }

    /// A value that `quantile` (0 to 1) of all values don't exceed.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let rank = (quantile * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let index = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(highest_of(index).min(self.max))
    }
}

fn bucket(value: u64) -> usize {
    let octave = (value | (PER_OCTAVE - 1)).ilog2() + 1 - OCTAVE_BITS;
    if octave == 0 {
        return value as usize;
    }
    // The leading bit says the octave, the next seven the place within it.
    let place = (value >> (octave - 1)) - PER_OCTAVE;
    (u64::from(octave) * PER_OCTAVE + place) as usize
}

fn highest_of(bucket: usize) -> u64 {
    let (octave, place) = (bucket as u64 / PER_OCTAVE, bucket as u64 % PER_OCTAVE);
    match octave.checked_sub(1) {
        None => place,
        Some(shift) => ((PER_OCTAVE + place) << shift) + ((1 << shift) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_lies_within_one_per_cent_below_its_buckets_top() {
        let mut value = 0_u64;
        while value < u64::MAX / 3 {
            let top = highest_of(bucket(value));
            assert!(top >= value, "{value} above the top {top} of its bucket");
            assert!((top - value) as f64 <= value as f64 * 0.01, "{value} is far from {top}");
            value = value * 3 / 2 + 1;
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_of_a_known_set() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.max()), (None, None));
        (1..=100).for_each(|value| histogram.record(value));
        assert_eq!(histogram.quantile(0.5), Some(50));
        assert_eq!(histogram.quantile(0.99), Some(99));
        assert_eq!(histogram.quantile(1.0), Some(100));
        assert_eq!(histogram.max(), Some(100));
    }
}

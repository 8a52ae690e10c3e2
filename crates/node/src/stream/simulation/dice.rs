//! What a seed decides, and what came of it.

/// Numbers that a seed decides (SplitMix64, by Sebastiano Vigna).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Whether something happens that does once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// What has happened, told if it ends badly; many schedules are played faster without.
pub(super) struct Trace(Option<(u64, Vec<String>)>);

impl Trace {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn of(seed: u64) -> Self {
        Self(Some((seed, Vec::new())))
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some((_, lines)) = &mut self.0 {
            lines.push(line());
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if let Some((seed, lines)) = &self.0
            && std::thread::panicking()
        {
            println!("seed {seed}:\n{}", lines.join("\n"));
        }
    }
}

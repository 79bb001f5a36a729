//! Chance from a printed seed (SplitMix64): the same seed throws the same. Processes and networks add chance of
//! their own, so that a seed repeats the plan of a run, not each of its microseconds.

use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 ..= `most`.
    pub fn up_to(&mut self, most: u64) -> u64 {
        self.next() % most.saturating_add(1)
    }

    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let spread = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(self.up_to(spread))
    }

    pub fn is_below(&mut self, share: f64) -> bool {
        // 53 bits: what a float holds.
        ((self.next() >> 11) as f64) < share * (1_u64 << 53) as f64
    }
}

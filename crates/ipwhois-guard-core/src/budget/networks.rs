//! How many different networks there are among those that came.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

/// Far more than the strangers that any limit of the service could bear: where they are fewer, few fall together.
const BITS: u64 = 1 << 14;

/// Networks, each of which counts once: however many addresses somebody has in one, he is not many.
#[derive(Debug)]
pub(super) struct Networks {
    seen: Box<[u64]>,
    seed: RandomState,
    count: u32,
}

impl Networks {
    pub(super) fn new() -> Self {
        Self {
            seen: vec![0; (BITS / 64) as usize].into_boxed_slice(),
            seed: RandomState::default(),
            count: 0,
        }
    }

    /// Whether it is a new one.
    pub(super) fn note(&mut self, network: u64) -> bool {
        let bit = self.seed.hash_one(network) % BITS;
        let (word, mask) = ((bit / 64) as usize, 1 << (bit % 64));
        let is_new = self.seen[word] & mask == 0;
        self.seen[word] |= mask;
        self.count += u32::from(is_new);
        is_new
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn begin_day(&mut self) {
        self.seen.fill(0);
        self.count = 0;
    }
}

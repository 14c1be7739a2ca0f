//! From how many networks clients came that nobody suspects.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

use super::origin::Origin;

/// Far more than the strangers that any limit of the service could bear: where they are fewer, few fall together.
const BITS: u64 = 1 << 14;

/// Networks, each of which counts once: however many addresses somebody has in one, he cannot bring about a shortage.
#[derive(Debug)]
pub(super) struct Strangers {
    seen: Box<[u64]>,
    seed: RandomState,
    count: u32,
}

impl Strangers {
    pub(super) fn new() -> Self {
        Self {
            seen: vec![0; (BITS / 64) as usize].into_boxed_slice(),
            seed: RandomState::default(),
            count: 0,
        }
    }

    pub(super) fn note(&mut self, origin: Origin) {
        let bit = self.seed.hash_one(origin.network) % BITS;
        let (word, mask) = ((bit / 64) as usize, 1 << (bit % 64));
        if self.seen[word] & mask == 0 {
            self.seen[word] |= mask;
            self.count += 1;
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn begin_day(&mut self) {
        self.seen.fill(0);
        self.count = 0;
    }
}

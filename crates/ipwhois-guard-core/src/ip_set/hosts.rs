//! Single IPv4 addresses: four bytes each, and an index that leads to a handful of them.
//!
//! Listed addresses crowd in the networks of a few hosters, so an index by their own leading bits
//! would lead to thousands in one place and to none in most. They are kept under another number,
//! their *key*, whose leading bits are spread evenly.

/// The longest prefix that is indexed, in bits: 256 KiB of index.
const LONGEST_PREFIX: u32 = 16;

/// 2^32 divided by the golden ratio. Multiplying by an odd number, modulo 2^32, gives each address
/// a key of its own, and with this one neighbours are far from each other (Knuth, The Art of
/// Computer Programming, volume 3, section 6.4).
const SPREAD: u32 = 0x9e37_79b9;
/// What undoes it.
pub(super) const GATHER: u32 = 0x144c_bc89;

const fn key(address: u32) -> u32 {
    address.wrapping_mul(SPREAD)
}

/// A set of single addresses.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Hosts {
    /// The addresses' keys, ascending, each once.
    keys: Box<[u32]>,
    /// Where the keys of each prefix begin, and where the last one's end. Empty when there is no
    /// address.
    starts: Box<[u32]>,
    /// How many of a key's bits come after the prefix.
    shift: u32,
}

impl Hosts {
    /// The set of these addresses, in any order and however often each.
    pub(super) fn new(addresses: Vec<u32>) -> Self {
        let mut keys = addresses;
        for address in &mut keys {
            *address = key(*address);
        }
        keys.sort_unstable();
        keys.dedup();
        let Some(magnitude) = keys.len().checked_ilog2() else {
            return Self::default();
        };
        // Two to four keys a prefix: the index takes two bytes an address at most.
        let bits = magnitude.saturating_sub(1).clamp(1, LONGEST_PREFIX);
        let shift = u32::BITS - bits;
        let prefixes = 1 << bits;
        let mut starts = Vec::with_capacity(prefixes + 1);
        for (at, key) in (0..).zip(&keys) {
            let prefix = (key >> shift) as usize;
            starts.resize(starts.len().max(prefix + 1), at);
        }
        let end = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        starts.resize(prefixes + 1, end);
        Self {
            keys: keys.into_boxed_slice(),
            starts: starts.into_boxed_slice(),
            shift,
        }
    }

    #[inline]
    pub(super) fn contains(&self, address: u32) -> bool {
        !self.keys.is_empty() && self.find(key(address))
    }

    fn find(&self, key: u32) -> bool {
        self.sharing_prefix(key)
            .is_some_and(|keys| keys.binary_search(&key).is_ok())
    }

    fn sharing_prefix(&self, key: u32) -> Option<&[u32]> {
        let prefix = (key >> self.shift) as usize;
        let &[start, end] = self.starts.get(prefix..)?.first_chunk()?;
        self.keys.get(start as usize..end as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The addresses, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.keys.iter().map(|key| key.wrapping_mul(GATHER))
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.keys) + size_of_val(&*self.starts)
    }
}

const _: () = assert!(SPREAD.wrapping_mul(GATHER) == 1);

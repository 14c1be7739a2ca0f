//! Paths that several clients were refused: the site's own dead links and broken images, which say little of who asks for
//! them.
//!
//! A fixed number of places, 8 bytes each; which path falls into which one depends on a seed of the process. A newcomer takes
//! the place of another path: a flood of paths makes refusals count in full again, and nothing else.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

use super::ledger::key_of;

const PLACES: usize = 4_096;

/// So many clients make a path one that everybody may come across.
const SEVERAL: usize = 3;

/// A path, without its query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathKey(u32);

#[derive(Debug)]
pub(crate) struct MissingPaths {
    places: Box<[AtomicU64]>,
    seed: RandomState,
}

impl MissingPaths {
    pub(crate) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            seed: RandomState::default(),
        }
    }

    /// The key of a raw path.
    pub(crate) fn key(&self, path: &str) -> PathKey {
        let path = path.split(['?', '#']).next().unwrap_or(path);
        PathKey((self.seed.hash_one(path) >> 32) as u32)
    }

    /// A client was refused there. Whether several others were before.
    pub(crate) fn note(&self, path: PathKey, client: IpAddr) -> bool {
        let client = fingerprint(self.seed.hash_one(key_of(client)));
        let place = &self.places[path.0 as usize % PLACES];
        let tag = (path.0 >> 16) as u16;
        let before = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |place| {
            Some(Place::from(place).with(tag, client).into())
        });
        let before = Place::from(before.unwrap_or_else(|place| place));
        before.tag == tag && before.is_full() && !before.clients.contains(&client)
    }
}

/// 0 stands for none.
fn fingerprint(hash: u64) -> u16 {
    (hash as u16).max(1)
}

/// A path, and the first clients that were refused there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    tag: u16,
    clients: [u16; SEVERAL],
}

impl Place {
    fn with(self, tag: u16, client: u16) -> Self {
        let mut place = if self.tag == tag {
            self
        } else {
            Self {
                tag,
                clients: [0; SEVERAL],
            }
        };
        if !place.clients.contains(&client)
            && let Some(free) = place.clients.iter_mut().find(|client| **client == 0)
        {
            *free = client;
        }
        place
    }

    fn is_full(self) -> bool {
        !self.clients.contains(&0)
    }
}

impl From<u64> for Place {
    fn from(packed: u64) -> Self {
        let part = |shift: u32| (packed >> shift) as u16;
        Self {
            tag: part(48),
            clients: [part(32), part(16), part(0)],
        }
    }
}

impl From<Place> for u64 {
    fn from(Place { tag, clients }: Place) -> Self {
        let parts = [tag, clients[0], clients[1], clients[2]];
        parts
            .into_iter()
            .fold(0, |packed, part| packed << 16 | Self::from(part))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn client(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x1900_0000 + n).into()
    }

    #[test]
    fn what_several_clients_miss_says_little_of_the_next_one() {
        let missing = MissingPaths::new();
        let path = missing.key("/images/broken.png");
        for n in [1, 1, 2, 1, 3, 3, 2] {
            assert!(!missing.note(path, client(n)), "{n} is one of the first");
        }
        assert!(missing.note(path, client(4)));
        assert!(missing.note(path, client(5)));
        assert!(
            !missing.note(path, client(1)),
            "its own refusals make it no better"
        );
        assert!(!missing.note(missing.key("/other"), client(4)));
    }

    #[test]
    fn a_query_makes_no_other_path() {
        let missing = MissingPaths::new();
        assert_eq!(missing.key("/a?b"), missing.key("/a"));
        assert_eq!(missing.key("/a#b"), missing.key("/a"));
        assert_ne!(missing.key("/a/b"), missing.key("/a"));
    }

    proptest! {
        #[test]
        fn a_place_is_what_it_was_packed_from(packed: u64) {
            prop_assert_eq!(u64::from(Place::from(packed)), packed);
        }
    }
}

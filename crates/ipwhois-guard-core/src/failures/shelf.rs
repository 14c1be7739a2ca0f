//! A few entries of one kind, and how many there may be on all shelves together.

use super::client::Client;
use super::parts::Word;
use super::record::Limits;
use crate::clock::Tick;

pub(super) trait Entry {
    type Worth: Ord;

    fn client(&self) -> Client;

    /// Forgets what no longer counts. False when nothing is left of the entry.
    fn refresh(&mut self, now: Tick, limits: &Limits) -> bool;

    /// The entry of least worth goes first when there is no room.
    fn worth(&self) -> Self::Worth;
}

/// The places of a table, all of its shelves together.
#[derive(Debug)]
pub(super) struct Places<W> {
    taken: W,
    capacity: u32,
}

impl<W: Word> Places<W> {
    pub(super) fn new(capacity: u32) -> Self {
        Self {
            taken: W::new(0),
            capacity,
        }
    }

    pub(super) fn taken(&self) -> u32 {
        self.taken.get()
    }

    fn take(&self) -> bool {
        self.taken.add_within(self.capacity)
    }

    /// For a shelf that is empty while the table is full. Addresses are spread evenly, so this is
    /// next to impossible, and it can come once for each shelf.
    fn take_beyond_capacity(&self) {
        self.taken.add_within(u32::MAX);
    }

    fn give_back(&self, n: usize) {
        if n > 0 {
            self.taken.subtract(n as u32);
        }
    }
}

#[derive(Debug)]
pub(super) struct Shelf<T>(Vec<T>);

impl<T: Entry> Shelf<T> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub(super) fn get(&self, client: Client) -> Option<&T> {
        self.0.iter().find(|entry| entry.client() == client)
    }

    pub(super) fn get_mut(&mut self, client: Client) -> Option<&mut T> {
        self.0.iter_mut().find(|entry| entry.client() == client)
    }

    pub(super) fn remove(&mut self, client: Client, places: &Places<impl Word>) {
        if let Some(index) = self.0.iter().position(|entry| entry.client() == client) {
            self.0.swap_remove(index);
            places.give_back(1);
        }
    }

    /// Adds an entry of a client that has none. The entry that had to go for it, if any, was still
    /// worth something.
    pub(super) fn add(
        &mut self,
        entry: T,
        now: Tick,
        limits: &Limits,
        places: &Places<impl Word>,
    ) -> Option<T> {
        let before = self.0.len();
        self.0.retain_mut(|entry| entry.refresh(now, limits));
        places.give_back(before - self.0.len());

        let mut evicted = None;
        if !places.take() {
            evicted = self.evict();
            if evicted.is_none() {
                places.take_beyond_capacity();
            }
        }
        if self.0.len() == self.0.capacity() {
            // In small steps: doubling would leave half of a full table's memory unused.
            self.0.reserve_exact(4);
        }
        self.0.push(entry);
        evicted
    }

    fn evict(&mut self) -> Option<T> {
        let entries = self.0.iter().enumerate();
        let (index, _) = entries.min_by_key(|(_, entry)| entry.worth())?;
        Some(self.0.swap_remove(index))
    }
}

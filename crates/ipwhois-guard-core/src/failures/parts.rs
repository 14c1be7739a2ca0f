//! The lock and the atomic word that the tracker is built from.
//!
//! They are a type parameter so that a concurrency checker can put its own in their place and run
//! the very same tracker through every order of events.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

pub(crate) trait Parts: Debug {
    type Lock<T: Debug>: Lock<T>;
    type Word: Word;
}

pub(crate) trait Lock<T>: Debug {
    fn new(value: T) -> Self;
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R;
}

/// A number on its own: no order with other memory is asked of it.
pub(crate) trait Word: Debug {
    fn new(value: u32) -> Self;
    fn load(&self, order: Ordering) -> u32;
    fn fetch_max(&self, value: u32, order: Ordering);
    fn fetch_sub(&self, n: u32, order: Ordering);
    fn fetch_update(&self, order: Ordering, change: impl FnMut(u32) -> Option<u32>) -> bool;

    fn get(&self) -> u32 {
        self.load(Ordering::Relaxed)
    }

    fn raise_to(&self, value: u32) {
        self.fetch_max(value, Ordering::Relaxed);
    }

    fn subtract(&self, n: u32) {
        self.fetch_sub(n, Ordering::Relaxed);
    }

    /// Adds 1 unless that would pass `limit`. Whether it did.
    fn add_within(&self, limit: u32) -> bool {
        self.fetch_update(Ordering::Relaxed, |value| {
            (value < limit).then_some(value + 1)
        })
    }
}

/// The parts of the standard library.
#[derive(Debug)]
pub(crate) enum Std {}

impl Parts for Std {
    type Lock<T: Debug> = Mutex<T>;
    type Word = AtomicU32;
}

impl<T: Debug> Lock<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Word for AtomicU32 {
    fn new(value: u32) -> Self {
        Self::new(value)
    }

    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }

    fn fetch_max(&self, value: u32, order: Ordering) {
        self.fetch_max(value, order);
    }

    fn fetch_sub(&self, n: u32, order: Ordering) {
        self.fetch_sub(n, order);
    }

    fn fetch_update(&self, order: Ordering, change: impl FnMut(u32) -> Option<u32>) -> bool {
        self.fetch_update(order, order, change).is_ok()
    }
}

//! The guard's events, for Python's `logging`.
//!
//! The guard's threads never take the interpreter's lock: they leave events here, and Python
//! fetches them.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::{Event, Id, Level, Metadata, Subscriber, span};

const TARGET: &str = "ipwhois_guard";

/// Number of events that wait at most. Later ones push out the oldest.
const CAPACITY: usize = 1_024;

type Events = Mutex<VecDeque<(u8, String)>>;

static EVENTS: ArcSwapOption<Events> = ArcSwapOption::const_empty();
static HAS_EVENTS: AtomicBool = AtomicBool::new(false);

/// The level of Python's `logging` from which events are kept: `INFO`.
static LEVEL: AtomicU8 = AtomicU8::new(20);

pub(crate) fn install() {
    // A second import finds the first one's.
    let _ = tracing::subscriber::set_global_default(Queue);
}

/// Whether `take_events` has something to give.
#[pyfunction]
pub(crate) fn has_events() -> bool {
    HAS_EVENTS.load(Ordering::Relaxed)
}

/// The events since the last call, each with its level in Python's `logging`.
#[pyfunction]
pub(crate) fn take_events(py: Python<'_>) -> Vec<(u8, String)> {
    py.detach(|| {
        let events = events();
        let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
        HAS_EVENTS.store(false, Ordering::Relaxed);
        events.drain(..).collect()
    })
}

/// To be called in a forked child: a thread of the parent may have held the lock of its events.
#[pyfunction]
pub(crate) fn after_fork() {
    EVENTS.store(None);
    HAS_EVENTS.store(false, Ordering::Relaxed);
}

/// Keeps events from this level of Python's `logging` on.
#[pyfunction]
pub(crate) fn set_log_level(level: u8) {
    LEVEL.store(level, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
}

fn events() -> Arc<Events> {
    if let Some(events) = EVENTS.load_full() {
        return events;
    }
    let new = Arc::default();
    EVENTS.rcu(|events| Some(Arc::clone(events.as_ref().unwrap_or(&new))));
    EVENTS.load_full().unwrap_or(new)
}

fn level_of(metadata: &Metadata<'_>) -> u8 {
    match *metadata.level() {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        _ => 10,
    }
}

struct Queue;

impl Subscriber for Queue {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.target() == TARGET
            && level_of(metadata) >= LEVEL.load(Ordering::Relaxed)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let events = events();
        let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= CAPACITY {
            events.pop_front();
        }
        let text = line.message + &line.fields;
        events.push_back((level_of(event.metadata()), text));
        HAS_EVENTS.store(true, Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message, and the fields after it.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A `String` takes everything.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

//! The guard's events, written by a thread of their own.
//!
//! A log blocks when what reads it does: a full disk, a pipe, a terminal that was stopped. It stops
//! this thread then, and neither requests nor the guard's work. The thread starts with the first
//! event and ends when none has come for a while.

use std::collections::VecDeque;
use std::process;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tracing::{Dispatch, Span, dispatcher};

/// Number of events that wait at most. Later ones are lost.
const CAPACITY: usize = 1_024;
/// How long the thread waits for the next event.
const IDLE: Duration = Duration::from_secs(1);
/// A log that takes longer for one event is blocked.
const BLOCKED: Duration = Duration::from_secs(1);

/// An event of the guard, with the fields and the message of [`tracing::event!`]. The fields are
/// moved to the thread that writes it.
macro_rules! event {
    ($level:ident, $($fields:tt)+) => {{
        let emit = move || {
            tracing::event!(target: "ipwhois_guard", tracing::Level::$level, $($fields)+);
        };
        if tracing::enabled!(target: "ipwhois_guard", tracing::Level::$level) {
            $crate::events::write(emit);
        } else {
            emit();
        }
    }};
}

type Event = Box<dyn FnOnce() + Send>;

/// Of this process. A forked child finds its parent's here, and begins one of its own.
static LANE: ArcSwapOption<Lane> = ArcSwapOption::const_empty();

struct Lane {
    process: u32,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    has_thread: bool,
    /// Since when the event is being written that is.
    writing: Option<Instant>,
    lost: u64,
}

/// A log that is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// How long one event has taken so far.
    pub(crate) since: Duration,
    /// Number of events that were lost since the start.
    pub(crate) lost: u64,
}

/// Writes an event to the subscriber and in the span of this thread, soon.
pub(crate) fn write(event: impl FnOnce() + Send + 'static) {
    let (dispatch, span) = (dispatcher::get_default(Dispatch::clone), Span::current());
    lane().push(Box::new(move || {
        dispatcher::with_default(&dispatch, || span.in_scope(event));
    }));
}

/// Waits until every event is written, but not for a log that is blocked.
pub(crate) fn flush(limit: Duration) {
    let lane = lane();
    let is_busy = |state: &mut State| state.writing.is_some() || !state.waiting.is_empty();
    drop(
        lane.changed
            .wait_timeout_while(lane.state(), limit, is_busy),
    );
}

/// For health.
pub(crate) fn blocked() -> Option<Blocked> {
    let lane = lane();
    let state = lane.state();
    let since = state.writing?.elapsed();
    (since > BLOCKED).then_some(Blocked {
        since,
        lost: state.lost,
    })
}

fn lane() -> Arc<Lane> {
    let process = process::id();
    let is_here = |lane: &&Arc<Lane>| lane.process == process;
    if let Some(lane) = LANE.load().as_ref().filter(is_here) {
        return Arc::clone(lane);
    }
    let new = Arc::new(Lane {
        process,
        state: Mutex::default(),
        changed: Condvar::new(),
    });
    LANE.rcu(|lane| Some(Arc::clone(lane.as_ref().filter(is_here).unwrap_or(&new))));
    LANE.load_full().unwrap_or(new)
}

impl Lane {
    fn push(self: &Arc<Self>, event: Event) {
        let mut state = self.state();
        if state.waiting.len() >= CAPACITY {
            state.lost += 1;
            return;
        }
        state.waiting.push_back(event);
        let has_thread = std::mem::replace(&mut state.has_thread, true);
        drop(state);
        if has_thread {
            self.changed.notify_all();
            return;
        }
        let lane = Arc::clone(self);
        let builder = thread::Builder::new().name("ipwhois-guard-log".to_owned());
        if builder.spawn(move || lane.run()).is_err() {
            self.state().has_thread = false;
        }
    }

    fn run(&self) {
        let mut state = self.state();
        loop {
            if let Some(event) = state.waiting.pop_front() {
                state.writing = Some(Instant::now());
                drop(state);
                event();
                state = self.state();
                state.writing = None;
                self.changed.notify_all();
                continue;
            }
            let is_idle = |state: &mut State| state.waiting.is_empty();
            let waited = self.changed.wait_timeout_while(state, IDLE, is_idle);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.waiting.is_empty() {
                state.has_thread = false;
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn lane_of_a_test() -> Arc<Lane> {
        Arc::new(Lane {
            process: process::id(),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    #[test]
    fn a_log_that_blocks_loses_what_there_is_no_room_for_and_goes_on_in_order() {
        let lane = lane_of_a_test();
        let (go_on, blocked) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        lane.push(Box::new(move || {
            let _ = begin.send(());
            let _ = blocked.recv();
        }));
        begun.recv().unwrap();
        let (written, events) = mpsc::channel();
        for n in 0..CAPACITY + 10 {
            let written = written.clone();
            lane.push(Box::new(move || written.send(n).unwrap()));
        }
        assert_eq!(lane.state().lost, 10);
        assert!(lane.state().writing.is_some());
        drop((go_on, written));
        assert!(events.iter().eq(0..CAPACITY));
    }

    #[test]
    fn events_come_to_the_subscriber_of_the_thread_that_has_them() {
        struct Count(mpsc::Sender<Option<thread::ThreadId>>);
        impl tracing::Subscriber for Count {
            fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
                *metadata.level() <= tracing::Level::INFO
            }
            fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
                tracing::Id::from_u64(1)
            }
            fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}
            fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}
            fn event(&self, _: &tracing::Event<'_>) {
                let _ = self.0.send(Some(thread::current().id()));
            }
            fn enter(&self, _: &tracing::Id) {}
            fn exit(&self, _: &tracing::Id) {}
        }
        let (sender, events) = mpsc::channel();
        tracing::subscriber::with_default(Count(sender), || {
            event!(INFO, "this one");
            event!(DEBUG, "not this one");
        });
        let threads: Vec<_> = events.iter().flatten().collect();
        assert_eq!(threads.len(), 1);
        assert_ne!(threads[0], thread::current().id());
    }
}

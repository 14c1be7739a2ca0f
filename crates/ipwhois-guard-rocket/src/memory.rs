use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use ipwhois_guard_core::{Denial, Guarded};
use rocket::http::uri::Origin;
use rocket::{Data, Request};

use crate::GuardRejection;

/// What is known of a request so far, in its local cache. Whoever looks first makes it, so
/// everything in it is set later.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The fairing's decision.
    pub(crate) by_rules: OnceLock<Guarded>,
    /// The decision of the first request guard.
    pub(crate) by_request_guard: OnceLock<Guarded>,
    /// Why the request is not handled.
    pub(crate) rejection: OnceLock<GuardRejection>,
    /// What the client asked for, when the fairing has sent the request elsewhere.
    pub(crate) asked_for: OnceLock<Origin<'static>>,
    /// Whether the request has a body of more than a few bytes.
    pub(crate) has_body: AtomicBool,
    answered: AtomicBool,
    is_worded: AtomicBool,
}

impl Memory {
    pub(crate) fn of<'r>(request: &'r Request<'_>) -> &'r Self {
        request.local_cache(Self::default)
    }

    pub(crate) fn note_body(&self, data: &Data<'_>) {
        // Rocket has read some bytes by now, to find a form's `_method`.
        self.has_body
            .store(!data.peek_complete(), Ordering::Relaxed);
    }

    /// The fairing has refused the request.
    pub(crate) fn is_refused(&self) -> bool {
        self.asked_for.get().is_some()
    }

    /// The fairing has refused the request, and somebody else answered it.
    pub(crate) fn went_astray(&self) -> bool {
        self.is_refused() && !self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn set_answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Lets the application word an answer; `None` when it is doing so already.
    pub(crate) fn word<T>(&self, words: impl FnOnce() -> T) -> Option<T> {
        if self.is_worded.swap(true, Ordering::Relaxed) {
            return None;
        }
        let worded = words();
        self.is_worded.store(false, Ordering::Relaxed);
        Some(worded)
    }
}

/// The denial of a request that the guard refused, for the application's logs and response
/// fairings.
#[must_use]
pub fn denial<'r>(request: &'r Request<'_>) -> Option<&'r Denial> {
    match Memory::of(request).rejection.get() {
        Some(GuardRejection::Denied(denial)) => Some(denial),
        _ => None,
    }
}

/// The URI that the client asked for, for the application's logs.
///
/// A request that [`IpGuard`](crate::IpGuard) refuses has another `request.uri()` from then on:
/// Rocket's fairings cannot answer, only lead elsewhere.
#[must_use]
pub fn original_uri<'a>(request: &'a Request<'_>) -> &'a Origin<'a> {
    match Memory::of(request).asked_for.get() {
        Some(uri) => uri,
        None => request.uri(),
    }
}

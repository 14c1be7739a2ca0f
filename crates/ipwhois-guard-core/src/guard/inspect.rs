//! What a guard tells of itself.

use super::Guard;
use crate::observe::Health;
use crate::stats::Stats;

impl Guard {
    /// The guard's figures.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.here().0.observer.stats()
    }

    /// Whether the guard works, and what is silently wrong: a proxy that nobody configured, a key that is refused, a feed that is
    /// old. The guard's thread logs each problem when it comes and when it goes.
    ///
    /// Waits for no I/O, and makes no call. A degraded guard is no reason to take the site out of rotation, so whoever serves
    /// this over HTTP answers 200 in both cases.
    ///
    /// ```
    /// # fn example(guard: &ipwhois_guard_core::Guard) {
    /// for problem in guard.health().problems {
    ///     eprintln!("{}: {problem}", problem.code());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn health(&self) -> Health {
        self.here().0.observer.health()
    }

    /// The name, in lower case, of the only header that is read for the client's address. Adapters whose framework finds a
    /// header quicker by a name that is parsed already keep it.
    #[must_use]
    pub fn client_ip_header(&self) -> &str {
        self.0.resolver.header()
    }

    /// Gives the current metrics to the recorder of the `metrics` crate that is installed, or that is local to this thread. The
    /// guard's thread does it once a second; whoever serves metrics calls it before rendering them, so that what is read is the
    /// present.
    pub fn publish_metrics(&self) {
        self.here().0.observer.publish();
    }
}

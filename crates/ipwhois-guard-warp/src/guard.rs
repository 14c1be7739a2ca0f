use std::convert::Infallible;
use std::fmt;
use std::future::ready;
use std::sync::Arc;

use http::StatusCode;
use ipwhois_guard_core::{Denial, Guard, Guarded, Peer};
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

use crate::head::{Head, head};
use crate::in_flight::{self, Kept};
use crate::rejection::{GuardRejection, Respond, recover};
use crate::unread;

/// A guard as warp's filters use it: around routes by [`wrap`](Self::wrap), or in an extractor
/// ([`allowed_ip`](crate::allowed_ip), [`ip_verdict`](crate::ip_verdict)). Cheap to clone.
#[derive(Clone)]
pub struct IpGuard {
    guard: Guard,
    respond: Respond,
    without_address: Peer,
}

impl IpGuard {
    /// A guard whose denials are answered as core words them.
    #[must_use]
    pub fn new(guard: Guard) -> Self {
        Self {
            guard,
            respond: None,
            without_address: Peer::Unknown,
        }
    }

    /// Answers denials with the application's own reply.
    #[must_use]
    pub fn respond_with<F, R>(mut self, respond: F) -> Self
    where
        F: Fn(&Denial) -> R + Send + Sync + 'static,
        R: Reply,
    {
        self.respond = Some(Arc::new(move |denial| respond(denial).into_response()));
        self
    }

    /// Takes a peer without an address for a Unix socket's ([`Peer::Unix`]), which
    /// `trusted_proxies` names as `unix:`.
    ///
    /// Such a peer looks like one that a server forgot to name, and that one must not be trusted.
    /// So this is for applications that `warp::serve` serves, which always knows the address where
    /// there is one.
    #[must_use]
    pub fn on_unix_socket(mut self) -> Self {
        self.without_address = Peer::Unix;
        self
    }

    /// Puts the guard around routes: it decides by its rules before any filter of the routes runs,
    /// and answers a refused client itself. Rejections of the routes pass through, those of this
    /// crate's extractors are answered.
    ///
    /// ```
    /// use ipwhois_guard_warp::{Guard, IpGuard, Rule};
    /// use warp::Filter;
    ///
    /// # fn main() -> Result<(), ipwhois_guard_warp::BuildError> {
    /// let guard = IpGuard::new(Guard::builder().protect(Rule::path("/admin")).build()?);
    /// let routes = warp::path!("admin").map(|| "the admin area");
    /// let app = guard.wrap(routes);
    /// # warp::service(app);
    ///
    /// // Or in a chain:
    /// let app = routes
    ///     .with(warp::wrap_fn(move |routes| guard.wrap(routes)))
    ///     .with(warp::log("app"));
    /// # warp::service(app);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wrap<F, R>(
        &self,
        routes: F,
    ) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static + use<F, R>
    where
        F: Filter<Extract = (R,)> + Send + Sync + 'static,
        F::Error: Into<Rejection>,
        R: Reply + 'static,
    {
        let guard = self.clone();
        // With rejections as values, so that both kinds of answer can be seen beside what was
        // decided.
        let answer = routes
            .boxed()
            .map(|reply: R| Ok(reply.into_response()))
            .or_else(|rejection| ready(Ok::<_, Infallible>((Err(rejection),))));
        head()
            .and_then(move |head| guard.clone().admit(head))
            .and(answer)
            .and_then(|(to_tell, _kept): Admitted, answer| {
                tell(to_tell, &answer);
                ready(answer)
            })
            .or_else(unread::hand_over)
            .or(unread::refused())
            .unify()
            .recover(recover)
            .unify()
    }

    pub(crate) const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The head, with the peer that a connection without an address stands for.
    pub(crate) fn with_peer(&self, head: Head) -> Head {
        head.or_peer(self.without_address)
    }

    /// Decides by the rules, and keeps the decision for what runs behind the guard.
    async fn admit(self, head: Head) -> Result<Admitted, Rejection> {
        let head = self.with_peer(head);
        let earlier = in_flight::recall(&self.guard, &head);
        let step = Guarded::by_rules(earlier.as_ref(), &self.guard, &head);
        let guarded = Guarded::new(self.guard, step.decision().await);
        match guarded.admit() {
            Ok(_) => {
                let to_tell = guarded.to_tell(earlier.as_ref());
                Ok((to_tell, in_flight::keep(head, guarded)))
            }
            Err(denial) => Err(GuardRejection::denied(denial, self.respond).into()),
        }
    }

    /// The decision for an extractor.
    pub(crate) async fn look(self, head: Head) -> Result<(Guarded, Respond), GuardRejection> {
        let head = self.with_peer(head);
        let earlier = in_flight::recall(&self.guard, &head);
        let looking = Guarded::by_extractor(earlier.as_ref(), || Some(self.guard), &head)
            // There is a guard, so the peer is missing.
            .map_err(|_| GuardRejection::no_peer())?;
        Ok((looking.await, self.respond))
    }
}

/// A request that was let in, while the routes behind the guard run.
type Admitted = (Option<Guarded>, Kept);

/// Tells the guard what the routes answered. A rejection has no status yet: warp makes a response
/// of it at the very end, after all branches and the application's own `recover`. Only "not found"
/// is as good as certain.
fn tell(to_tell: Option<Guarded>, answer: &Result<Response, Rejection>) {
    let status = match answer {
        Ok(response) => Some(response.status()),
        Err(rejection) => rejection.is_not_found().then_some(StatusCode::NOT_FOUND),
    };
    if let (Some(guarded), Some(status)) = (to_tell, status) {
        guarded.answered(status.as_u16());
    }
}

impl From<Guard> for IpGuard {
    fn from(guard: Guard) -> Self {
        Self::new(guard)
    }
}

impl fmt::Debug for IpGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpGuard")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

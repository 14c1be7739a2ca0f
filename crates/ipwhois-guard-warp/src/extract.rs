use std::fmt;
use std::ops::Deref;

use ipwhois_guard_core::{AllowedClient, Verdict};
use warp::{Filter, Rejection};

use crate::IpGuard;
use crate::head::head;
use crate::rejection::{GuardRejection, Respond};

/// An allowed client, from [`allowed_ip`].
#[derive(Clone)]
pub struct AllowedIp {
    client: AllowedClient,
    pub(crate) respond: Respond,
}

impl Deref for AllowedIp {
    type Target = AllowedClient;

    fn deref(&self) -> &AllowedClient {
        &self.client
    }
}

impl fmt::Debug for AllowedIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AllowedIp").field(&self.client).finish()
    }
}

/// What is known of the client, from [`ip_verdict`].
#[derive(Clone, Copy, Debug)]
pub struct IpVerdict(pub Verdict);

/// Extracts an [`AllowedIp`], and rejects the request of a refused client with a [`GuardRejection`]
/// that [`recover`](crate::recover) answers.
///
/// Inside [`IpGuard::wrap`] of the same guard it reads the decision that was taken there; where no
/// rule covers the request, or without the wrapper, it decides itself by the guard's defaults. Put
/// it after the path's filters and before the body's.
///
/// After a rejection warp tries the next branch of an `or`: the filter guards what is combined with
/// it by `and`, and nothing else.
pub fn allowed_ip(
    guard: impl Into<IpGuard>,
) -> impl Filter<Extract = (AllowedIp,), Error = Rejection> + Clone + Send + Sync + 'static {
    let guard = guard.into();
    head().and_then(move |head| {
        let looking = guard.clone().look(head);
        async move {
            let (guarded, respond) = looking.await?;
            match guarded.admit() {
                Ok(client) => Ok(AllowedIp { client, respond }),
                Err(denial) => Err(Rejection::from(GuardRejection::denied(denial, respond))),
            }
        }
    })
}

/// Extracts an [`IpVerdict`]. Refuses nobody; it rejects only when warp does not say who is
/// connected.
pub fn ip_verdict(
    guard: impl Into<IpGuard>,
) -> impl Filter<Extract = (IpVerdict,), Error = Rejection> + Clone + Send + Sync + 'static {
    let guard = guard.into();
    head().and_then(move |head| {
        let looking = guard.clone().look(head);
        async move {
            let (guarded, _) = looking.await?;
            Ok::<_, Rejection>(IpVerdict(*guarded.decision().verdict()))
        }
    })
}

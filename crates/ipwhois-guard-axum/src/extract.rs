use std::ops::Deref;

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use ipwhois_guard_tower::{AllowedClient, Guarded, HttpHead, Verdict};

use crate::{ConnectionContext, GuardRejection, GuardState};

/// An allowed client: the handler runs for no other. A refused one gets the denial as the response.
///
/// It reads the layer's decision; on a route that no rule covers, or without the layer, it decides
/// itself by the guard's defaults.
#[derive(Clone, Debug)]
pub struct AllowedIp(AllowedClient);

impl Deref for AllowedIp {
    type Target = AllowedClient;

    fn deref(&self) -> &AllowedClient {
        &self.0
    }
}

impl<S> FromRequestParts<S> for AllowedIp
where
    S: Send + Sync,
    GuardState: FromRef<S>,
{
    type Rejection = GuardRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let client = guarded(parts, state).await?.admit();
        client.map(Self).map_err(GuardRejection::from)
    }
}

/// What is known of the client. Refuses nobody.
#[derive(Clone, Copy, Debug)]
pub struct IpVerdict(pub Verdict);

impl<S> FromRequestParts<S> for IpVerdict
where
    S: Send + Sync,
    GuardState: FromRef<S>,
{
    type Rejection = GuardRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let guarded = guarded(parts, state).await?;
        Ok(Self(*guarded.decision().verdict()))
    }
}

/// The decision on this request, kept for the next extractor.
async fn guarded<S>(parts: &mut Parts, state: &S) -> Result<Guarded, GuardRejection>
where
    GuardState: FromRef<S>,
{
    let looking = Guarded::by_extractor(
        parts.extensions.get::<Guarded>(),
        || GuardState::from_ref(state).into_guard(),
        &HttpHead::<ConnectionContext>::from(&*parts),
    )?;
    let guarded = looking.await;
    parts.extensions.insert(guarded.clone());
    Ok(guarded)
}

use std::ops::Deref;

use ipwhois_guard_core::{AllowedClient, Guarded, Verdict};
use rocket::http::Status;
use rocket::request::{FromRequest, Outcome};
use rocket::{Ignite, Request, Rocket, Sentinel};

use crate::GuardRejection;
use crate::head::Head;
use crate::memory::Memory;
use crate::wiring::{Installed, REJECTED};

/// An allowed client: the handler runs for no other. A refused one gets the denial as the response,
/// whole.
///
/// It reads the decision of [`IpGuard`](crate::IpGuard); on a route that no rule covers it decides
/// itself by the guard's defaults. A rocket with handlers that ask for it and without `IpGuard`
/// does not launch.
///
/// `Result<AllowedIp, GuardRejection>` gives the handler the last word. `Option<AllowedIp>` is
/// `None` for refused clients, and the handler runs for them.
#[derive(Clone, Debug)]
pub struct AllowedIp(AllowedClient);

impl Deref for AllowedIp {
    type Target = AllowedClient;

    fn deref(&self) -> &AllowedClient {
        &self.0
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for AllowedIp {
    type Error = GuardRejection;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, GuardRejection> {
        let client = match guarded(request).await {
            Ok(guarded) => guarded.admit().map_err(GuardRejection::from),
            Err(rejection) => Err(rejection),
        };
        outcome(request, client.map(Self))
    }
}

/// What is known of the client. Refuses nobody.
#[derive(Clone, Copy, Debug)]
pub struct IpVerdict(pub Verdict);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for IpVerdict {
    type Error = GuardRejection;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, GuardRejection> {
        let guarded = guarded(request).await;
        outcome(
            request,
            guarded.map(|guarded| Self(*guarded.decision().verdict())),
        )
    }
}

impl Sentinel for AllowedIp {
    fn abort(rocket: &Rocket<Ignite>) -> bool {
        Installed::is_missing(rocket)
    }
}

impl Sentinel for IpVerdict {
    fn abort(rocket: &Rocket<Ignite>) -> bool {
        Installed::is_missing(rocket)
    }
}

/// The decision on this request, kept for the next request guard.
async fn guarded<'r>(request: &'r Request<'_>) -> Result<&'r Guarded, GuardRejection> {
    let memory = Memory::of(request);
    let earlier = memory.by_request_guard.get().or(memory.by_rules.get());
    let fallback = || Installed::of(request).map(|installed| installed.guard.clone());
    let guarded = Guarded::by_extractor(earlier, fallback, &Head(request))?.await;
    Ok(memory.by_request_guard.get_or_init(|| guarded))
}

/// A request guard fails with a status and no response: the response is kept, for the catcher of
/// that status.
fn outcome<T>(
    request: &Request<'_>,
    result: Result<T, GuardRejection>,
) -> Outcome<T, GuardRejection> {
    let rejection = match result {
        Ok(value) => return Outcome::Success(value),
        Err(rejection) => rejection,
    };
    if Installed::of(request).is_none() {
        return Outcome::Error((Status::InternalServerError, rejection));
    }
    let rejection = *Memory::of(request).rejection.get_or_init(|| rejection);
    Outcome::Error((REJECTED, rejection))
}

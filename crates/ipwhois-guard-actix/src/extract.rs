use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use ipwhois_guard_core::{AllowedClient, Asking, Guard, Guarded, Step, Verdict};

use crate::GuardRejection;
use crate::head::ActixHead;

/// An allowed client: the handler runs for no other. A refused one gets the denial as the response.
///
/// It reads the middleware's decision; on a route that no rule covers, or without the middleware, it decides itself by
/// the guard's defaults.
#[derive(Clone, Debug)]
pub struct AllowedIp(AllowedClient);

impl Deref for AllowedIp {
    type Target = AllowedClient;

    fn deref(&self) -> &AllowedClient {
        &self.0
    }
}

impl FromRequest for AllowedIp {
    type Error = GuardRejection;
    type Future = ExtractFuture<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ExtractFuture::new(request, |guarded| {
            let client = guarded.admit();
            client.map(Self).map_err(GuardRejection::Denied)
        })
    }
}

/// What is known of the client. Refuses nobody.
#[derive(Clone, Copy, Debug)]
pub struct IpVerdict(pub Verdict);

impl FromRequest for IpVerdict {
    type Error = GuardRejection;
    type Future = ExtractFuture<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ExtractFuture::new(request, |guarded| Ok(Self(*guarded.decision().verdict())))
    }
}

/// The future of an extractor.
pub struct ExtractFuture<T> {
    state: State,
    extract: fn(&Guarded) -> Result<T, GuardRejection>,
}

enum State {
    Settled(Result<Guarded, GuardRejection>),
    Asking(HttpRequest, Guard, Asking),
    Done,
}

impl<T> ExtractFuture<T> {
    fn new(request: &HttpRequest, extract: fn(&Guarded) -> Result<T, GuardRejection>) -> Self {
        Self {
            state: State::new(request),
            extract,
        }
    }
}

impl State {
    fn new(request: &HttpRequest) -> Self {
        let begun = Guarded::by_extractor(
            request.extensions().get::<Guarded>(),
            || guard_in_app_data(request),
            &ActixHead(request),
        );
        match begun {
            Ok((guard, Step::Decided(decision))) => {
                Self::Settled(Ok(keep(request, Guarded::new(guard, decision))))
            }
            Ok((guard, Step::Asking(asking))) => Self::Asking(request.clone(), guard, asking),
            Err(mistake) => Self::Settled(Err(mistake.into())),
        }
    }
}

impl<T> Future for ExtractFuture<T> {
    type Output = Result<T, GuardRejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Asking(request, guard, asking) = &mut self.state {
            let guarded = match decided_meanwhile(request) {
                Some(guarded) => guarded,
                None => {
                    let decision = ready!(Pin::new(asking).poll(cx));
                    keep(request, Guarded::new(guard.clone(), decision))
                }
            };
            self.state = State::Settled(Ok(guarded));
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Settled(settled) => Poll::Ready(settled.and_then(|it| (self.extract)(&it))),
            State::Asking(..) | State::Done => panic!("polled after completion"),
        }
    }
}

impl<T> fmt::Debug for ExtractFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractFuture").finish_non_exhaustive()
    }
}

/// The guard of the app data closest to the handler, in either form.
fn guard_in_app_data(request: &HttpRequest) -> Option<Guard> {
    let wrapped = request.app_data::<web::Data<Guard>>();
    let guard = wrapped.map(web::Data::get_ref);
    guard.or_else(|| request.app_data::<Guard>()).cloned()
}

/// Leaves the decision for the next extractor.
fn keep(request: &HttpRequest, guarded: Guarded) -> Guarded {
    request.extensions_mut().insert(guarded.clone());
    guarded
}

/// actix-web starts a handler's extractors together: while this one waited, another may have decided.
fn decided_meanwhile(request: &HttpRequest) -> Option<Guarded> {
    let extensions = request.extensions();
    let guarded = extensions.get::<Guarded>()?;
    (!guarded.decision().is_out_of_scope()).then(|| guarded.clone())
}

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use ipwhois_guard_core::{AllowedClient, Guard, Guarded, Looking, SetupMistake, Verdict};

use crate::GuardRejection;
use crate::head::ActixHead;

/// An allowed client: the handler runs for no other. A refused one gets the denial as the response.
///
/// It reads the middleware's decision; on a route that no rule covers, or without the middleware,
/// it decides itself by the guard's defaults.
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
            client.map(Self).map_err(GuardRejection::from)
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
    request: HttpRequest,
    /// Begun when it is first polled: actix-web makes the futures of all extractors before it polls
    /// any.
    looking: Option<Looking>,
    extract: fn(&Guarded) -> Result<T, GuardRejection>,
}

impl<T> ExtractFuture<T> {
    fn new(request: &HttpRequest, extract: fn(&Guarded) -> Result<T, GuardRejection>) -> Self {
        Self {
            request: request.clone(),
            looking: None,
            extract,
        }
    }
}

impl<T> Future for ExtractFuture<T> {
    type Output = Result<T, GuardRejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let looking = match &mut this.looking {
            // While this extractor waited, another one may have decided.
            Some(looking) if !is_decided(&this.request) => looking,
            _ => this.looking.insert(look(&this.request)?),
        };
        let guarded = ready!(Pin::new(looking).poll(cx));
        let extracted = (this.extract)(&guarded);
        // For the next extractor.
        this.request.extensions_mut().insert(guarded);
        Poll::Ready(extracted)
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

fn look(request: &HttpRequest) -> Result<Looking, SetupMistake> {
    Guarded::by_extractor(
        request.extensions().get::<Guarded>(),
        || guard_in_app_data(request),
        &ActixHead {
            request,
            parsed: None,
        },
    )
}

fn is_decided(request: &HttpRequest) -> bool {
    let extensions = request.extensions();
    let guarded = extensions.get::<Guarded>();
    guarded.is_some_and(|guarded| !guarded.decision().is_out_of_scope())
}

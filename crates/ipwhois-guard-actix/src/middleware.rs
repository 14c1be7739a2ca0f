use std::fmt;
use std::future::{Ready, ready};

use actix_web::body::EitherBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::{Error, HttpResponse};
use ipwhois_guard_core::{Denial, Guard};

use crate::{GuardService, denial_response};

/// The middleware, for `.wrap()` on an `App`, a `Scope` or a `Resource`. `R` makes a response of a
/// denial.
#[derive(Clone)]
pub struct IpGuard<R = fn(&Denial) -> HttpResponse> {
    guard: Guard,
    respond: R,
}

impl IpGuard {
    /// A middleware whose denials are answered as core words them.
    #[must_use]
    pub fn new(guard: Guard) -> Self {
        Self {
            guard,
            respond: denial_response,
        }
    }

    /// Answers denials with the application's own response.
    ///
    /// ```
    /// use actix_web::{App, HttpResponse};
    /// use ipwhois_guard_actix::{Denial, Guard, IpGuard};
    ///
    /// # fn main() -> Result<(), ipwhois_guard_actix::BuildError> {
    /// let guard = Guard::builder().build()?;
    /// let app = App::new().wrap(IpGuard::new(guard).respond_with(|denial: &Denial| {
    ///     HttpResponse::Forbidden().body(format!("Write to us about {}.", denial.reference()))
    /// }));
    /// # drop(app);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn respond_with<F>(self, respond: F) -> IpGuard<F>
    where
        F: Fn(&Denial) -> HttpResponse + Clone,
    {
        IpGuard {
            guard: self.guard,
            respond,
        }
    }
}

impl<R> fmt::Debug for IpGuard<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpGuard")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl<S, R, B> Transform<S, ServiceRequest> for IpGuard<R>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    R: Fn(&Denial) -> HttpResponse + Clone,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = GuardService<S, R>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        let guard = self.guard.clone();
        ready(Ok(GuardService::new(inner, guard, self.respond.clone())))
    }
}

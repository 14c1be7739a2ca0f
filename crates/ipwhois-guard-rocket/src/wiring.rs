//! The way around what Rocket does not offer: a fairing cannot answer a request, and a request
//! guard cannot say how it is answered.
//!
//! - The fairing remembers the denial in the request and leads it to a route of its own, which
//!   answers for nobody else: to every other request it is as if the route did not exist.
//! - A request guard remembers its rejection and fails with a status that has a catcher of its own.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use ipwhois_guard_core::Guard;
use rocket::catcher::{self, Catcher};
use rocket::http::uri::Origin;
use rocket::http::{Method, Status};
use rocket::response::Responder;
use rocket::route::{self, Route};
use rocket::{Build, Data, Ignite, Phase, Request, Response, Rocket};

use crate::answer::Answer;
use crate::memory::Memory;
use crate::unread;

/// The status with which a request guard fails, and by which its catcher is found. No client ever
/// sees it, and no application has a catcher for it, so that those for 403 or 503 have no say.
pub(crate) const REJECTED: Status = Status::new(597);

const NAME: &str = "ipwhois-guard";

const METHODS: [Method; 9] = [
    Method::Get,
    Method::Put,
    Method::Post,
    Method::Delete,
    Method::Options,
    Method::Head,
    Method::Trace,
    Method::Connect,
    Method::Patch,
];

/// What the attached fairing leaves in the managed state.
pub(crate) struct Installed {
    pub(crate) guard: Guard,
    pub(crate) answer: Answer,
    exit: Origin<'static>,
}

impl Installed {
    pub(crate) fn new(guard: Guard, answer: Answer) -> Self {
        // Nobody gets an answer there without a denial. That nobody finds the place keeps it out of
        // the way of the application's own paths.
        let random = || RandomState::new().hash_one(NAME);
        let exit = format!("/{NAME}-{:016x}{:016x}", random(), random());
        Self {
            guard,
            answer,
            exit: Origin::parse_owned(exit).unwrap_or(Origin::ROOT),
        }
    }

    pub(crate) fn of<'r>(request: &'r Request<'_>) -> Option<&'r Self> {
        Self::in_state(request.rocket())
    }

    pub(crate) fn in_state<P: Phase>(rocket: &Rocket<P>) -> Option<&Self> {
        rocket.state()
    }

    /// What a sentinel asks for at launch.
    pub(crate) fn is_missing(rocket: &Rocket<Ignite>) -> bool {
        let missing = Self::in_state(rocket).is_none();
        if missing {
            let mistake = crate::GuardRejection::NoGuard;
            tracing::error!(target: "ipwhois_guard", "{mistake}");
        }
        missing
    }

    /// Adds the route and the catcher.
    pub(crate) fn wire(self, rocket: Rocket<Build>) -> Rocket<Build> {
        // Of the routes that match, the one of the lowest rank is asked first.
        let routes = METHODS.map(|method| {
            let mut route = Route::ranked(isize::MIN, method, "/<_..>", Exit);
            route.name = Some(NAME.into());
            route
        });
        // A catcher for all statuses wins over one for this status if its path is longer.
        let bases: Vec<Origin<'static>> = rocket
            .catchers()
            .filter(|catcher| catcher.code.is_none() && !catcher.base.path().segments().is_empty())
            .map(|catcher| catcher.base.clone())
            .collect();
        let mut catcher = Catcher::new(REJECTED.code, Exit);
        catcher.name = Some(NAME.into());
        let rocket = bases
            .into_iter()
            .fold(rocket, |rocket, base| {
                rocket.register(base, [catcher.clone()])
            })
            .register("/", [catcher.clone()])
            .mount(self.exit.clone(), routes);
        rocket.manage(self)
    }

    /// Leads a refused request to the route. The path stays readable behind the route's, for the
    /// logs.
    pub(crate) fn lead_out(&self, request: &mut Request<'_>) {
        let asked_for = request.uri().to_string();
        let path = asked_for.trim_start_matches('/');
        let exit = Origin::parse_owned(format!("{}/{path}", self.exit));
        request.set_uri(exit.unwrap_or_else(|_| self.exit.clone()));
    }
}

/// The route and the catcher.
#[derive(Clone)]
struct Exit;

#[rocket::async_trait]
impl route::Handler for Exit {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> route::Outcome<'r> {
        let memory = Memory::of(request);
        match memory.rejection.get() {
            Some(rejection) if memory.is_refused() => {
                memory.set_answered();
                match rejection.respond_to(request) {
                    Ok(response) => {
                        route::Outcome::Success(unread::discard(response, request, data).await)
                    }
                    Err(status) => route::Outcome::Error(status),
                }
            }
            _ => route::Outcome::forward(data, Status::NotFound),
        }
    }
}

#[rocket::async_trait]
impl catcher::Handler for Exit {
    async fn handle<'r>(&self, status: Status, request: &'r Request<'_>) -> catcher::Result<'r> {
        match Memory::of(request).rejection.get() {
            Some(rejection) => {
                let response = rejection.respond_to(request)?;
                Ok(unread::linger(response, request).await)
            }
            // The application uses the status itself.
            None => Response::build().status(status).ok(),
        }
    }
}

use std::error::Error;
use std::fmt;

use ipwhois_guard_core::{Denial, Guard, Guarded};
use rocket::fairing::{self, Fairing, Info, Kind};
use rocket::http::ext::IntoOwned;
use rocket::response::Responder;
use rocket::{Build, Data, Request, Response, Rocket};

use crate::GuardRejection;
use crate::answer::{self, Answer};
use crate::head::Head;
use crate::memory::Memory;
use crate::settings::guard_from_config;
use crate::wiring::{Installed, REJECTED};

/// The fairing that keeps blacklisted clients out: `rocket::build().attach(IpGuard::new(guard))`.
///
/// It refuses requests by the guard's rules, manages the [`Guard`] (`&State<Guard>` in handlers)
/// and makes the request guards [`AllowedIp`](crate::AllowedIp) and [`IpVerdict`](crate::IpVerdict)
/// work. It is attached once; a second one stops the launch. So does a trusted proxy whose header
/// is a list while `on_unknown_client` is not said.
pub struct IpGuard {
    origin: GuardOrigin,
    by_rules: bool,
    answer: Answer,
}

enum GuardOrigin {
    Given(Guard),
    Config,
}

impl IpGuard {
    /// A fairing for this guard.
    ///
    /// It stops the launch where a client could make the proxy's header vanish and nothing says
    /// what happens then: see
    /// [`on_unknown_client`](crate::GuardBuilder::on_unknown_client).
    #[must_use]
    pub fn new(guard: Guard) -> Self {
        Self::with(GuardOrigin::Given(guard))
    }

    /// A fairing that builds its guard when the rocket ignites, from Rocket's own configuration:
    /// the table `ipwhois_guard` of the selected profile in `Rocket.toml`, and
    /// `ROCKET_IPWHOIS_GUARD={…}` in the environment. The names are those of
    /// [`Settings`](crate::Settings), and without any the defaults hold.
    ///
    /// A setting that cannot be used stops the launch; Rocket's log names it with its value, never
    /// with the key. For the error as a value take [`settings`](crate::settings) and
    /// [`Guard::from_settings`].
    #[must_use]
    pub fn from_config() -> Self {
        Self::with(GuardOrigin::Config)
    }

    fn with(origin: GuardOrigin) -> Self {
        Self {
            origin,
            by_rules: true,
            answer: answer::plain(),
        }
    }

    /// Refuses nothing by itself, rules or not: only handlers with the request guard
    /// [`AllowedIp`](crate::AllowedIp) are guarded.
    #[must_use]
    pub fn request_guards_only(mut self) -> Self {
        self.by_rules = false;
        self
    }

    /// Answers denials with the application's own response: any responder. The guard's own words
    /// are one, too: [`GuardRejection::Denied`].
    ///
    /// ```
    /// use ipwhois_guard_rocket::{Denial, Guard, IpGuard};
    /// use rocket::http::Status;
    ///
    /// # fn fairing(guard: Guard) -> IpGuard {
    /// IpGuard::new(guard).respond_with(|denial: &Denial| {
    ///     (Status::new(denial.status()), format!("Sorry. Reference: {}", denial.reference()))
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn respond_with<F, R>(mut self, respond: F) -> Self
    where
        F: Fn(&Denial) -> R + Send + Sync + 'static,
        R: for<'r> Responder<'r, 'static>,
    {
        self.answer = answer::custom(respond);
        self
    }

    fn install(&self, rocket: &Rocket<Build>) -> Result<Installed, Box<dyn Error>> {
        if Installed::in_state(rocket).is_some() {
            return Err("`IpGuard` is attached twice: one is enough for all routes".into());
        }
        let guard = match &self.origin {
            GuardOrigin::Given(guard) => guard.clone(),
            GuardOrigin::Config => guard_from_config(rocket.figment())?,
        };
        guard.check_for_dropped_lines()?;
        match rocket.state::<Guard>() {
            Some(managed) if !managed.is_same(&guard) => {
                Err("another `Guard` is managed already: `IpGuard` manages its own".into())
            }
            _ => Ok(Installed::new(guard, self.answer.clone())),
        }
    }
}

impl fmt::Debug for IpGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guard: &dyn fmt::Debug = match &self.origin {
            GuardOrigin::Given(guard) => guard,
            GuardOrigin::Config => &"from Rocket's configuration",
        };
        f.debug_struct("IpGuard")
            .field("guard", guard)
            .field("by_rules", &self.by_rules)
            .finish_non_exhaustive()
    }
}

#[rocket::async_trait]
impl Fairing for IpGuard {
    fn info(&self) -> Info {
        Info {
            name: "ipwhois-guard",
            kind: Kind::Ignite | Kind::Request | Kind::Response,
        }
    }

    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        match self.install(&rocket) {
            Ok(installed) => {
                let guard = installed.guard.clone();
                let rocket = installed.wire(rocket);
                Ok(match rocket.state::<Guard>() {
                    Some(_) => rocket,
                    None => rocket.manage(guard),
                })
            }
            Err(mistake) => {
                tracing::error!(target: "ipwhois_guard", "{mistake}");
                Err(rocket)
            }
        }
    }

    async fn on_request(&self, request: &mut Request<'_>, data: &mut Data<'_>) {
        Memory::of(request).note_body(data);
        if !self.by_rules {
            return;
        }
        let Some(installed) = Installed::in_state(request.rocket()) else {
            return;
        };
        let guard = &installed.guard;
        let step = Guarded::by_rules(None, guard, &Head(request));
        let guarded = Guarded::new(guard.clone(), step.decision().await);
        let memory = Memory::of(request);
        let denial = guarded.decision().denial().copied();
        memory.by_rules.get_or_init(|| guarded);
        if let Some(denial) = denial {
            let asked_for = request.uri().clone().into_owned();
            memory.asked_for.get_or_init(|| asked_for);
            memory
                .rejection
                .get_or_init(|| GuardRejection::Denied(denial));
            installed.lead_out(request);
        }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let memory = Memory::of(request);
        let Some(rejection) = memory.rejection.get() else {
            let by_rules = memory.by_rules.get();
            if let Some(guarded) = by_rules.and_then(|guarded| guarded.to_tell(None)) {
                guarded.answered(response.status().code);
            }
            return;
        };
        let answer = || {
            rejection
                .respond_to(request)
                .unwrap_or_else(|status| Response::build().status(status).finalize())
        };
        if memory.went_astray() {
            // A fairing that was attached later has led the request back into the application. What
            // came of it is not for this client.
            *response = answer();
        } else if response.status() == REJECTED {
            // A catcher for all statuses that was registered after this fairing has answered. Other
            // fairings' headers stay.
            response.merge(answer());
        }
    }
}

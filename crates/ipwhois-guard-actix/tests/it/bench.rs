//! A guard, the service that it asks, and two clients.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::test::TestRequest;
use ipwhois_guard_actix::{Guard, GuardBuilder, Rule};
use ipwhois_guard_testkit::StandIn;

/// A client that the service lists. Both are made up, from networks that nobody announces.
pub(crate) const LISTED: &str = "25.0.0.7";
/// A client that it does not list.
pub(crate) const CLEAN: &str = "26.0.0.1";

/// A guard that covers `/admin`, changed at will, and its service.
pub(crate) fn guard(change: impl FnOnce(GuardBuilder) -> GuardBuilder) -> (Guard, StandIn) {
    let service = StandIn::start().expect("a free port");
    service.list(LISTED.parse().expect("an address"), 95);
    let builder = Guard::builder()
        .api_url(service.url())
        .protect(Rule::path("/admin"))
        .max_wait(Duration::from_secs(30))
        .api_timeout(Duration::from_secs(30));
    let guard = change(builder).build().expect("the settings are right");
    (guard, service)
}

/// A request by a client that is connected directly.
pub(crate) fn get(path: &str, client: &str) -> TestRequest {
    let peer = SocketAddr::new(client.parse().expect("an address"), 50_000);
    TestRequest::get().uri(path).peer_addr(peer)
}

/// The status that an app answers with.
#[macro_export]
macro_rules! status {
    ($app:expr, $path:expr, $client:expr) => {
        actix_web::test::call_service(&$app, $crate::bench::get($path, $client).to_request())
            .await
            .status()
            .as_u16()
    };
}

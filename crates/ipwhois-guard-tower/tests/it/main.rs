//! The layer around a service that keeps tower's contract to the letter.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use ipwhois_guard_testkit::{Behaviour, StandIn};
use ipwhois_guard_tower::{Denial, Guard, IpGuardLayer, Peer, PeerAddr};
use tower::{Layer, Service, ServiceExt};

/// Answers only when it was polled ready before, and not through a clone.
#[derive(Debug, Default)]
struct Strict {
    is_ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<String>> for Strict {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        assert!(self.is_ready, "called without being ready");
        self.is_ready = false;
        ready(Ok(Response::new("inner".to_owned())))
    }
}

fn guard(service: &StandIn) -> Guard {
    service.list([25, 0, 0, 7].into(), 95);
    Guard::builder()
        .api_url(service.url())
        .max_wait(Duration::from_secs(20))
        .build()
        .expect("the settings are right")
}

fn request(client: [u8; 4]) -> Request<String> {
    let mut request = Request::new(String::new());
    request
        .extensions_mut()
        .insert(PeerAddr(Peer::Ip(client.into())));
    request
}

#[tokio::test]
async fn the_service_that_is_called_is_the_one_that_was_ready() {
    let service = StandIn::start().expect("a free port");
    let mut guarded = IpGuardLayer::new(guard(&service)).layer(Strict::default());
    // The first request waits for the service, the second is decided from memory.
    for _ in 0..2 {
        let response = guarded
            .ready()
            .await
            .expect("infallible")
            .call(request([26, 0, 0, 1]));
        assert_eq!(response.await.expect("infallible").body(), "inner");
    }
    assert_eq!(service.check_count(), 1);
}

#[tokio::test]
async fn a_refused_request_does_not_reach_the_service() {
    let service = StandIn::start().expect("a free port");
    let layer = IpGuardLayer::new(guard(&service));
    let response = layer
        .layer(Strict::default())
        .oneshot(request([25, 0, 0, 7]))
        .await;
    let response = response.expect("infallible");
    assert_eq!(response.status(), 403);
    assert!(response.body().contains("Blocked"));
}

#[tokio::test]
async fn any_body_will_do_with_a_response_of_ones_own() {
    #[derive(Debug, PartialEq)]
    struct Exotic(u8);
    let service = StandIn::start().expect("a free port");
    let inner =
        tower::service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(Exotic(1))));
    let layer =
        IpGuardLayer::new(guard(&service)).respond_with(|_: &Denial| Response::new(Exotic(2)));
    let body = async |client| {
        let response = layer.layer(inner).oneshot(request(client)).await;
        response.expect("infallible").into_body()
    };
    assert_eq!(body([26, 0, 0, 1]).await, Exotic(1));
    assert_eq!(body([25, 0, 0, 7]).await, Exotic(2));
}

#[tokio::test]
async fn a_dropped_response_does_not_cancel_the_check() {
    let service = StandIn::start().expect("a free port");
    service.behave(Behaviour::Held);
    let mut guarded = IpGuardLayer::new(guard(&service)).layer(Strict::default());
    let call = guarded
        .ready()
        .await
        .expect("infallible")
        .call(request([25, 0, 0, 7]));
    service.checks_reach(1).await;
    drop(call);
    service.recover();
    let call = guarded
        .ready()
        .await
        .expect("infallible")
        .call(request([25, 0, 0, 7]));
    assert_eq!(call.await.expect("infallible").status(), 403);
    assert_eq!(service.check_count(), 1);
}

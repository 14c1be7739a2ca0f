//! What else an axum application may have in front of its handlers, for comparison: an empty
//! middleware, a rate limiter by address, and a guard as one writes it in an afternoon.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use ipwhois_guard_testkit::StandIn;
use tokio::net::TcpListener;
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::SmartIpKeyExtractor;

use crate::UNGUARDED;
use crate::server::serve_until_input_ends;

/// Their name among the frameworks.
pub(crate) const FRAMEWORK: &str = "axum-peers";
pub(crate) const NAMES: [&str; 3] = [EMPTY, GOVERNOR, BY_HAND];

const EMPTY: &str = "an empty middleware";
const GOVERNOR: &str = "tower_governor";
const BY_HAND: &str = "moka and reqwest by hand";

pub(crate) fn serve(which: &str) {
    let service = StandIn::start().expect("a free port");
    let routes = Router::new().route("/", get(async || "open"));
    let app = match which {
        UNGUARDED => routes,
        EMPTY => routes.layer(from_fn(pass)),
        GOVERNOR => routes.layer(GovernorLayer::new(
            GovernorConfigBuilder::default()
                .per_nanosecond(1)
                .burst_size(u32::MAX)
                .key_extractor(SmartIpKeyExtractor)
                .finish()
                .expect("a rate"),
        )),
        BY_HAND => routes.layer(from_fn_with_state(ByHand::new(service.url()), check)),
        _ => panic!("`{which}` is not among {NAMES:?}"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let listener = runtime
        .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .expect("a free port");
    let address = listener.local_addr().expect("its address");
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    runtime.spawn(async { axum::serve(listener, service).await });
    serve_until_input_ends(address);
}

async fn pass(request: Request, next: Next) -> Result<Response, Infallible> {
    Ok(next.run(request).await)
}

/// The address of `X-Forwarded-For`, a cache, and a call where it knows nothing.
#[derive(Clone)]
struct ByHand {
    verdicts: moka::future::Cache<IpAddr, bool>,
    client: reqwest::Client,
    url: Arc<str>,
}

impl ByHand {
    fn new(url: String) -> Self {
        Self {
            verdicts: moka::future::Cache::builder()
                .max_capacity(100_000)
                .time_to_live(Duration::from_secs(3_600))
                .build(),
            client: reqwest::Client::new(),
            url: url.into(),
        }
    }

    async fn is_listed(&self, client: IpAddr) -> bool {
        let call = async {
            let url = format!("{}/check?ip={client}", self.url);
            let reply = self.client.get(url).send().await.ok()?.text().await.ok()?;
            Some(reply.contains("\"listed\":true"))
        };
        let listed = self
            .verdicts
            .get_with(client, async { call.await.unwrap_or(false) });
        listed.await
    }
}

async fn check(
    State(guard): State<ByHand>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let forwarded = request.headers().get("x-forwarded-for");
    let client = forwarded
        .and_then(|list| list.to_str().ok()?.split(',').next()?.trim().parse().ok())
        .unwrap_or(peer.ip());
    if guard.is_listed(client).await {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

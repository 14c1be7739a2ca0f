//! What the example apps answer to those who watch them.

use std::error::Error;
use std::time::Duration;

use ipwhois_guard_core::{Guard, Health};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// The content type of `GET /metrics`.
pub const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// In seconds. A call to the shared store may take 50 ms, a request waits for the service 500 ms,
/// and a call ends after 3 s.
const BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0,
];

/// How often what was timed is put into buckets, should nobody read the metrics.
const UPKEEP: Duration = Duration::from_secs(5);

/// The guard's health, and the metrics of the process.
#[derive(Clone, Debug)]
pub struct Monitoring {
    guard: Guard,
    recorder: PrometheusHandle,
}

impl Monitoring {
    /// Installs the recorder. To be called on a tokio runtime.
    pub(crate) fn start(guard: Guard) -> Result<Self, Box<dyn Error>> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?
            .install_recorder()?;
        let kept = recorder.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                kept.run_upkeep();
            }
        });
        Ok(Self { guard, recorder })
    }

    /// The answer of `GET /metrics`, in Prometheus' text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.guard.publish_metrics();
        self.recorder.render()
    }

    /// The answer of `GET /guard/health`: with status 200 whatever it says, since a guard that is
    /// degraded still decides. It must not take the site out of a load balancer's rotation; be
    /// alerted by `status`, or by the metric `ipwhois_guard_problem`.
    #[must_use]
    pub fn health(&self) -> Health {
        self.guard.health()
    }
}

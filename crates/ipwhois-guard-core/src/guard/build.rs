//! A guard out of its settings, and what it does in the background.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Guard, Home, Inner, Plan};
use crate::address::{ClientResolver, is_public};
use crate::api::ApiClient;
use crate::cache::{Ages, VerdictCache};
use crate::clock::Clock;
use crate::error::BuildError;
use crate::evidence::SignReader;
use crate::failures::{Limits, Tracker};
use crate::feed::{FeedKeeper, StoredFeed, Validators};
use crate::ip_set::IpSet;
use crate::lookup::{DailyBudget, Elsewhere, Lookup};
use crate::observe::{Facts, Measured, Meter, Observer, Pulse};
use crate::reports::{Left, ReportShelf, Reporter};
use crate::rules::RuleSet;
use crate::state::{self, Journal, Loaded, Shelf};
use crate::store::cluster::Cluster;
use crate::worker::Worker;

/// How much longer than a call to the service its lease lasts.
const BESIDE_THE_CALL: Duration = Duration::from_secs(1);

/// How long the state folder may take to open. Checks wait for it, and nobody waits for a disk that
/// hangs.
const OPENING: Duration = Duration::from_secs(5);

impl Guard {
    pub(crate) fn start(plan: Plan) -> Result<Self, BuildError> {
        let home = Home::new(plan.clone());
        let Plan {
            settings,
            clock,
            service,
            wording,
            shared,
            name,
            forked_from,
        } = plan;
        let settings = &settings;
        settings.validate()?;
        settings.warn_of_idle();
        let policy = settings.default_policy();
        let rules = RuleSet::new(&settings.protect, &settings.exempt, policy)?;
        let resolver = ClientResolver::new(
            &settings.trusted_proxies,
            settings.trusted_hops,
            &settings.client_ip_header,
        )?;
        let allowlist = list("allow", &settings.allow, "allow_file", &settings.allow_file)?;
        let denylist = list("deny", &settings.deny, "deny_file", &settings.deny_file)?;
        let signs = SignReader::new(settings.probe_paths.as_deref(), &settings.served_paths)?;
        let api = ApiClient::new(settings, Arc::clone(&clock))?;

        let meter = Arc::new(Meter::new(name, Arc::clone(&clock)));
        let journal = Arc::new(Journal::new(settings.state_dir.clone(), Arc::clone(&clock)));
        let worker = {
            let journal = Arc::clone(&journal);
            Worker::start(move || journal.close())?
        };
        let budget = Arc::new(DailyBudget::new(
            settings.checks_a_day(),
            Arc::clone(&clock),
            Arc::clone(&journal),
        ));
        let is_tier_missing = shared.is_none() && settings.redis_url.is_some();
        if is_tier_missing {
            event!(
                WARN,
                "`redis_url` is set and the guard has no shared store: build it with `ipwhois_guard_redis::guard_from_settings`"
            );
        }
        let cluster = shared.map(|shared| {
            let cluster = Cluster::new(shared, worker.runtime().clone());
            Arc::new(cluster.measured(Arc::clone(&meter)))
        });
        let elsewhere = cluster.as_ref().map(|cluster| Elsewhere {
            cluster: Arc::clone(cluster),
            lease: settings.api_timeout.saturating_add(BESIDE_THE_CALL),
            cache_ttl: settings.cache_ttl,
            stale_ttl: settings.stale_ttl,
        });
        let lookup = Lookup::new(
            VerdictCache::new(
                settings.cache_capacity,
                Ages::new(settings.cache_ttl, settings.stale_ttl, settings.error_ttl),
            ),
            Arc::new(Measured {
                meter: Arc::clone(&meter),
                clock: Arc::clone(&clock),
                max_wait: settings.max_wait,
                service: service.unwrap_or_else(|| Arc::new(api.clone())),
            }),
            Arc::clone(&clock),
            settings.max_wait,
            (worker.runtime().clone(), worker.alarm().clone()),
            Arc::clone(&budget),
            Arc::clone(&journal),
        );
        let lookup = Arc::new(lookup.with(elsewhere));
        let feed = {
            let journal = Arc::clone(&journal);
            let keep_copy = move |feed: StoredFeed| {
                journal.note_feed(state::StoredFeed {
                    text: feed.text,
                    etag: feed.validators.etag,
                    last_modified: feed.validators.last_modified,
                    fetched: feed.fetched,
                });
            };
            let keeper = FeedKeeper::new(settings, Arc::clone(&clock), Box::new(keep_copy))?;
            Arc::new(keeper.measured(Arc::clone(&meter)))
        };
        let shelf = Arc::new(Shelf::new(Arc::clone(&journal)));
        let reporter = Arc::new(
            Reporter::new(
                Arc::new(Measured {
                    meter: Arc::clone(&meter),
                    clock: Arc::clone(&clock),
                    // Nobody waits for reports.
                    max_wait: Duration::MAX,
                    service: Arc::new(api.clone()),
                }),
                Arc::clone(&shelf) as Arc<dyn ReportShelf>,
                Arc::clone(&clock),
            )
            .screened({
                let lists = (allowlist.clone(), resolver.trusted_proxies());
                move |ip| is_public(ip) && !lists.0.contains(ip) && !lists.1.contains(ip)
            }),
        );
        let background = Background {
            reporter: Arc::clone(&reporter),
            shelf,
            lookup: Arc::clone(&lookup),
            budget: Arc::clone(&budget),
            cluster: cluster.clone(),
            feed: Arc::clone(&feed),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            cache_ttl: settings.cache_ttl,
            stale_ttl: settings.stale_ttl,
        };
        let runtime = worker.runtime().clone();
        runtime.spawn(background.run());
        let tracker = Arc::new(Tracker::new(Limits {
            max_failures: settings.max_failures,
            find_time: settings.find_time,
            ban_time: settings.ban_time,
            max_ban_time: settings.max_ban_time,
        }));
        let observer = Arc::new(Observer {
            facts: Facts {
                mode: settings.mode,
                has_key: settings.api_key.is_some() || settings.api_key_file.is_some(),
                max_failures: settings.max_failures,
                feed_interval: settings.feed_interval,
                is_tier_missing,
                forked_from,
            },
            meter: Arc::clone(&meter),
            lookup: Arc::clone(&lookup),
            budget: Arc::clone(&budget),
            feed: Arc::clone(&feed),
            tracker: Arc::clone(&tracker),
            cluster: cluster.clone(),
            reporter: Arc::clone(&reporter),
            journal,
            clock: Arc::clone(&clock),
            memory: Mutex::default(),
            pulse: Mutex::new(Pulse::new(Instant::now())),
            published: Mutex::default(),
        });
        runtime.spawn(Arc::clone(&observer).run());
        let guard = Self(Arc::new(Inner {
            rules,
            resolver,
            has_lists: !(allowlist.is_empty() && denylist.is_empty()),
            allowlist,
            denylist,
            lookup,
            budget,
            feed,
            feed_action: settings.feed_action,
            signs,
            tracker,
            cluster,
            nameless: Tracker::of_one(Limits {
                max_failures: settings.max_failures.saturating_mul(10).min(1_000),
                find_time: settings.find_time,
                ban_time: settings.find_time,
                max_ban_time: None,
            }),
            max_failures: settings.max_failures,
            find_time: settings.find_time,
            wording,
            reporter,
            meter,
            observer,
            clock,
            retry_after: settings.error_ttl,
            home,
            worker,
        }));
        guard.attend(&runtime);
        Ok(guard)
    }
}

/// What goes on besides requests.
struct Background {
    reporter: Arc<Reporter>,
    shelf: Arc<Shelf>,
    lookup: Arc<Lookup>,
    budget: Arc<DailyBudget>,
    cluster: Option<Arc<Cluster>>,
    feed: Arc<FeedKeeper>,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    cache_ttl: Duration,
    stale_ttl: Duration,
}

impl Background {
    async fn run(self) {
        let opening = self.journal.open(self.stale_ttl);
        match tokio::time::timeout(OPENING, opening).await {
            Ok(Some(loaded)) => self.restore(loaded).await,
            Ok(None) => {}
            Err(_) => {
                self.journal.abandon();
                event!(ERROR, within = ?OPENING,
                    "the state folder does not open: the guard runs from memory"
                );
            }
        }
        if let Some(cluster) = &self.cluster {
            cluster.begin(&self.budget).await;
        }
        self.lookup.open();
        tokio::join!(self.journal.run(), self.feed.keep(), self.reporter.run());
    }

    async fn restore(&self, loaded: Loaded) {
        let (wall, elapsed) = (self.clock.wall(), self.clock.elapsed());
        for stored in loaded.verdicts {
            if let Some(age) = state::age(stored.verified, wall, self.cache_ttl, self.stale_ttl) {
                let verified = state::tick(age, elapsed);
                self.lookup.restore(stored.ip, stored.reputation, verified);
            }
        }
        if let Some(bytes) = loaded.budget {
            self.budget.restore(&bytes);
        }
        self.shelf.fill(Left {
            rows: loaded.reports,
            delivered: loaded.delivered,
        });
        if let Some(feed) = loaded.feed {
            let stored = StoredFeed {
                text: feed.text,
                validators: Validators {
                    etag: feed.etag,
                    last_modified: feed.last_modified,
                },
                fetched: feed.fetched,
            };
            let keeper = Arc::clone(&self.feed);
            // A large one takes some milliseconds to read.
            let _ = tokio::task::spawn_blocking(move || keeper.restore(stored)).await;
        }
    }
}

/// One list from a setting and from a file.
fn list(
    setting: &'static str,
    items: &[String],
    file_setting: &'static str,
    file: &Option<PathBuf>,
) -> Result<IpSet, BuildError> {
    let items = IpSet::parse(setting, items)?;
    match file {
        Some(path) => Ok(items.union(IpSet::read_file(file_setting, path)?)),
        None => Ok(items),
    }
}

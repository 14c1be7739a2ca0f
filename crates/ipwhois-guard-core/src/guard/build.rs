//! A guard out of its settings, and what it does in the background.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Guard, Home, Inner, Lists, Plan};
use crate::address::{ClientResolver, is_public};
use crate::api::ApiClient;
use crate::cache::{Ages, VerdictCache};
use crate::clock::Clock;
use crate::error::BuildError;
use crate::evidence::ProbePaths;
use crate::feed::{FeedKeeper, StoredFeed, Validators};
use crate::logins::Logins;
use crate::lookup::{DailyBudget, Elsewhere, Lookup};
use crate::observe::{Facts, Measured, Meter, Observer, Pulse};
use crate::reports::{BoxFuture, Left, ReportShelf, Reporter};
use crate::rules::RuleSet;
use crate::settings::Settings;
use crate::state::{self, Journal, Loaded, Shelf};
use crate::store::cluster::Cluster;
use crate::store::local::{Local, Restore};
use crate::worker::Worker;

/// How much longer than a call to the service its lease lasts.
const BESIDE_THE_CALL: Duration = Duration::from_secs(1);

/// How often what was learned of the site is written.
const SAVE: Duration = Duration::from_secs(10);

/// What settings say that can be wrong, read.
struct Checked {
    rules: RuleSet,
    resolver: ClientResolver,
    lists: Lists,
    probes: ProbePaths,
}

impl Checked {
    fn new(settings: &Settings) -> Result<Self, BuildError> {
        settings.validate()?;
        let policy = settings.default_policy();
        Ok(Self {
            rules: RuleSet::new(&settings.protect, &settings.exempt, policy)?,
            resolver: ClientResolver::new(
                &settings.trusted_proxies,
                settings.trusted_hops,
                &settings.client_ip_header,
            )?,
            lists: Lists::new(settings)?,
            probes: ProbePaths::new(settings.probe_paths.as_deref(), &settings.served_paths)?,
        })
    }
}

impl Settings {
    /// Checks the settings as [`GuardBuilder::build`](crate::GuardBuilder::build) does, and starts
    /// nothing: for programs that build their guard later, such as servers that fork their workers.
    ///
    /// # Errors
    /// When a setting has a value that cannot be used, two contradict each other, or a file cannot
    /// be read.
    pub fn check(&self) -> Result<(), BuildError> {
        Checked::new(self).map(drop)
    }
}

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
        let Checked {
            rules,
            resolver,
            lists,
            probes,
        } = Checked::new(settings)?;
        settings.warn_of_idle();
        let lists = Arc::new(lists);
        let api = ApiClient::new(settings, Arc::clone(&clock))?;

        let meter = Arc::new(Meter::new(name, Arc::clone(&clock)));
        let journal = Arc::new(Journal::new(settings.state_dir.clone(), Arc::clone(&clock)));
        let mut worker = Worker::start(|| {})?;
        let is_tier_missing = shared.is_none() && settings.redis_url.is_some();
        if is_tier_missing {
            event!(
                WARN,
                "`redis_url` is set and the guard has no shared store: build it with `ipwhois_guard_redis::guard_from_settings`"
            );
        }
        let local = settings.state_dir.as_ref().map(|dir| {
            let (journal, clock) = (Arc::clone(&journal), Arc::clone(&clock));
            Arc::new(Local::new(dir, journal, clock, settings.cache_ttl))
        });
        let runtime = worker.runtime().clone();
        let cluster = match (shared, &local) {
            (Some(shared), _) => Some(Cluster::new(shared, runtime)),
            (None, Some(local)) => Some(Cluster::on_host(Arc::clone(local), runtime)),
            (None, None) => None,
        };
        let cluster = cluster.map(|cluster| Arc::new(cluster.measured(Arc::clone(&meter))));
        let budget = Arc::new(DailyBudget::new(
            settings.checks_a_day(),
            Arc::clone(&clock),
            Arc::clone(&journal),
            cluster.clone(),
        ));
        worker.say_before({
            let (budget, journal) = (Arc::clone(&budget), Arc::clone(&journal));
            let (local, runtime) = (local.clone(), worker.runtime().clone());
            move || {
                budget.end();
                if let Some(local) = local {
                    local.end();
                }
                journal.close(Some(&runtime));
            }
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
                let (lists, proxies) = (Arc::clone(&lists), resolver.trusted_proxies());
                move |ip| is_public(ip) && !lists.allows(ip) && !proxies.contains(ip)
            }),
        );
        let logins = Arc::new(Logins::new(
            settings,
            Arc::clone(&journal),
            Arc::clone(&clock),
        ));
        let background = Background {
            reporter: Arc::clone(&reporter),
            shelf,
            lookup: Arc::clone(&lookup),
            budget: Arc::clone(&budget),
            local,
            cluster: cluster.clone(),
            is_restored: AtomicBool::new(false),
            feed: Arc::clone(&feed),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            logins: Arc::clone(&logins),
            lists: Arc::clone(&lists),
            cache_ttl: settings.cache_ttl,
            stale_ttl: settings.stale_ttl,
        };
        let runtime = worker.runtime().clone();
        runtime.spawn(background.run());
        let observer = Arc::new(Observer {
            facts: Facts {
                mode: settings.mode,
                has_key: settings.api_key.is_some() || settings.api_key_file.is_some(),
                checks_a_day: settings.checks_a_day(),
                has_state_folder: settings.state_dir.is_some(),
                max_failures: settings.max_failures,
                feed_interval: settings.feed_interval,
                is_tier_missing,
                forked_from,
            },
            meter: Arc::clone(&meter),
            lookup: Arc::clone(&lookup),
            budget: Arc::clone(&budget),
            feed: Arc::clone(&feed),
            tracker: Arc::clone(&logins.tracker),
            lists: Arc::clone(&lists),
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
            has_lists: lists.are_wanted(),
            lists,
            lookup,
            budget,
            feed,
            feed_action: settings.feed_action,
            probes,
            tracker: Arc::clone(&logins.tracker),
            logins,
            ban_scope: settings.ban_scope,
            cluster,
            wording,
            reporter,
            meter,
            observer,
            status_token: settings.status_token.clone(),
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
    local: Option<Arc<Local>>,
    cluster: Option<Arc<Cluster>>,
    /// Whether something of an earlier process has been loaded.
    is_restored: AtomicBool,
    feed: Arc<FeedKeeper>,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    logins: Arc<Logins>,
    lists: Arc<Lists>,
    cache_ttl: Duration,
    stale_ttl: Duration,
}

impl Background {
    async fn run(self) {
        let keep_together = async {
            if let Some(local) = &self.local {
                Arc::clone(local).run(self.stale_ttl, &self).await;
            }
        };
        let journal = Arc::clone(&self.journal);
        tokio::join!(keep_together, journal.run(), self.work());
    }

    async fn work(&self) {
        if let Some(local) = &self.local {
            local.settled().await;
        }
        if let Some(cluster) = &self.cluster {
            cluster.begin(&self.budget).await;
        }
        self.lookup.open();
        let save = async {
            loop {
                tokio::time::sleep(SAVE).await;
                self.budget.save();
            }
        };
        let reunite = async {
            if let Some(cluster) = &self.cluster {
                cluster.reunite(&self.budget).await;
            }
        };
        let (feed, reporter) = (Arc::clone(&self.feed), Arc::clone(&self.reporter));
        let lists = Arc::clone(&self.lists);
        tokio::join!(feed.keep(), reporter.run(), lists.watch(), save, reunite);
    }

    /// Whether the day's count is the local store's.
    fn counts_here(&self) -> bool {
        self.cluster
            .as_ref()
            .is_some_and(|cluster| cluster.is_on_host())
    }

    async fn load(&self, loaded: Loaded) {
        let (wall, elapsed) = (self.clock.wall(), self.clock.elapsed());
        for stored in loaded.verdicts {
            if let Some(age) = state::age(stored.verified, wall, self.cache_ttl, self.stale_ttl) {
                let verified = state::tick(age, elapsed);
                self.lookup.restore(stored.ip, stored.reputation, verified);
            }
        }
        self.logins.restore(&loaded.rows);
        if let Some(local) = &self.local {
            local.restore_account_key(self.logins.account_key());
        }
        self.shelf.fill(Left {
            rows: loaded.reports,
            delivered: loaded.delivered,
        });
        // What this process has learned and fetched itself is newer.
        if self.is_restored.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(bytes) = loaded.budget {
            let spent = self.budget.restore(&bytes, self.counts_here());
            let is_counted = |day| loaded.days.iter().any(|(counted, _)| *counted == day);
            if let (Some((day, spent)), Some(local)) = (spent, &self.local)
                && !is_counted(day)
            {
                local.raise_count(day, spent);
            }
        }
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

impl Restore for Background {
    fn restore(&self, loaded: Loaded) -> BoxFuture<'_, ()> {
        Box::pin(self.load(loaded))
    }

    fn adopt(&self, rows: Vec<(u64, Vec<u8>)>) {
        let delivered = Vec::new();
        self.shelf.fill(Left { rows, delivered });
    }

    fn rows(&self) -> Vec<u64> {
        self.reporter.rows()
    }
}

//! The one connection for all calls.
//!
//! Connecting is the work of a task of its own. A call waits for its first attempt, and fails at
//! once while it goes on trying after that: [`PAUSE`] later, then twice as long each time, up to
//! [`LONGEST_PAUSE`].
//!
//! A call is a task as well, because the caller may give up before there is an answer and drop the
//! call. Somebody must still be there to see that no answer comes: that is how a dead connection is
//! told from a slow one.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipwhois_guard_core::store::SharedError;
use redis::{RedisError, RedisResult, Value};
use tokio::sync::{Semaphore, watch};

use crate::connection::{Connection, Place};
use crate::scripts::{Call, Scripts};
use crate::trouble::{is_out_of_place, shared};

const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A connection that was lost sooner than this is no success: the next one is not tried at once.
const SOUND: Duration = Duration::from_secs(1);
/// How often another connection is tried because this one is out of place.
const REPLACE: Duration = Duration::from_secs(5);
/// So many calls may be under way.
const ROOM: usize = 1024;

pub(crate) struct Link {
    place: Arc<Place>,
    scripts: Arc<Scripts>,
    phases: Mutex<Option<Phases>>,
    room: Arc<Semaphore>,
}

type Phases = watch::Receiver<Phase>;

#[derive(Clone)]
enum Phase {
    Connecting,
    Up {
        connection: Connection,
        since: Instant,
    },
    Down(Arc<RedisError>),
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The place has the password.
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place: Arc::new(place),
            scripts: Arc::new(Scripts::new()),
            phases: Mutex::default(),
            room: Arc::new(Semaphore::new(ROOM)),
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) async fn call(self: &Arc<Self>, call: Call) -> Result<Value, SharedError> {
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            let source = "too many calls are under way".into();
            return Err(SharedError::Away { source });
        };
        let phases = self.phases();
        let (mut connection, since) = connected(phases.clone()).await.map_err(shared)?;
        let link = Arc::clone(self);
        let task = tokio::spawn(async move {
            let answer = link.scripts.call(&mut connection, &call).await;
            let answer = answer.map_err(Arc::new);
            if let Err(error) = &answer {
                link.replace_if_lost(&phases, since, error, connection.is_lost(error));
            }
            drop(permit);
            answer
        });
        match task.await {
            Ok(answer) => answer.map_err(shared),
            Err(error) => Err(SharedError::Away {
                source: Box::new(error),
            }),
        }
    }

    /// The phases of the connection that there is, or of one that is begun now.
    fn phases(&self) -> Phases {
        let mut current = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(phases) if is_kept(phases) => phases.clone(),
            _ => current.insert(self.begin(Phase::Connecting)).clone(),
        }
    }

    fn replace_if_lost(
        &self,
        phases: &Phases,
        since: Instant,
        error: &Arc<RedisError>,
        is_lost: bool,
    ) {
        let is_lost = is_lost || (is_out_of_place(error) && since.elapsed() >= REPLACE);
        if !is_lost {
            return;
        }
        let mut current = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        // Many calls notice, and one replaces.
        if current
            .as_ref()
            .is_some_and(|current| current.same_channel(phases))
        {
            let first = if since.elapsed() < SOUND {
                Phase::Down(Arc::clone(error))
            } else {
                Phase::Connecting
            };
            *current = Some(self.begin(first));
        }
    }

    fn begin(&self, first: Phase) -> Phases {
        let (tell, phases) = watch::channel(first);
        tokio::spawn(connect_in_the_end(
            Arc::clone(&self.place),
            Arc::clone(&self.scripts),
            tell,
        ));
        phases
    }
}

/// Whether there is a connection, or somebody who makes one. That one ends with its runtime, which
/// need not be the one of the next call.
fn is_kept(phases: &Phases) -> bool {
    matches!(*phases.borrow(), Phase::Up { .. }) || phases.has_changed().is_ok()
}

async fn connected(mut phases: Phases) -> Result<(Connection, Instant), Arc<RedisError>> {
    loop {
        match phases.borrow_and_update().clone() {
            Phase::Up { connection, since } => return Ok((connection, since)),
            Phase::Down(error) => return Err(error),
            Phase::Connecting => {}
        }
        if phases.changed().await.is_err() {
            let error = std::io::Error::other("connecting was broken off");
            return Err(Arc::new(error.into()));
        }
    }
}

async fn connect_in_the_end(place: Arc<Place>, scripts: Arc<Scripts>, tell: watch::Sender<Phase>) {
    let mut pause = PAUSE;
    let waits = matches!(*tell.borrow(), Phase::Down(_));
    if waits && !paused(pause, &tell).await {
        return;
    }
    loop {
        match connect(&place, &scripts).await {
            Ok(connection) => {
                tracing::debug!(target: "ipwhois_guard", "connected to Redis");
                let since = Instant::now();
                tell.send_replace(Phase::Up { connection, since });
                return;
            }
            Err(error) => {
                tracing::debug!(target: "ipwhois_guard", %error, "cannot connect to Redis");
                tell.send_replace(Phase::Down(Arc::new(error)));
            }
        }
        if !paused(pause, &tell).await {
            return;
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// Waits between three quarters of the pause and all of it, so that machines do not come back as
/// one. False: nobody wants the connection any more.
async fn paused(pause: Duration, tell: &watch::Sender<Phase>) -> bool {
    let quarter = u64::try_from(pause.as_millis() / 4)
        .unwrap_or(u64::MAX)
        .max(1);
    let less = Duration::from_millis(RandomState::new().hash_one(pause) % quarter);
    tokio::select! {
        () = tokio::time::sleep(pause.saturating_sub(less)) => true,
        () = tell.closed() => false,
    }
}

async fn connect(place: &Place, scripts: &Scripts) -> RedisResult<Connection> {
    let connection = place.connect().await?;
    scripts.load(&connection).await?;
    Ok(connection)
}

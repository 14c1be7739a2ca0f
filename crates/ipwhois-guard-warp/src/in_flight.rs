//! What was decided for the requests that are being answered.
//!
//! warp has no place where a filter could leave something for the next one: a request's extensions
//! can be read and not written. So a decision lies here while the routes behind the guard run,
//! under the task that answers the request. On warp's own server, and on hyper's, a task answers
//! one request at a time. Where several share a task, each finds only what was decided for a
//! request with the very same head. Who finds nothing decides itself.

use std::sync::{Arc, LazyLock};

use dashmap::DashMap;
use ipwhois_guard_core::{Guard, Guarded};
use tokio::task::{self, Id};

use crate::head::Head;

static IN_FLIGHT: LazyLock<DashMap<Id, Vec<Arc<Entry>>>> = LazyLock::new(DashMap::new);

#[derive(Debug)]
struct Entry {
    head: Head,
    guarded: Guarded,
}

/// A decision that can be found as long as this lives.
#[derive(Debug)]
pub(crate) struct Kept(Option<(Id, Arc<Entry>)>);

/// Keeps a decision for the filters that run while the result lives.
pub(crate) fn keep(head: Head, guarded: Guarded) -> Kept {
    if guarded.decision().is_out_of_scope() {
        return Kept(None);
    }
    Kept(task::try_id().map(|task| {
        let entry = Arc::new(Entry { head, guarded });
        IN_FLIGHT.entry(task).or_default().push(Arc::clone(&entry));
        (task, entry)
    }))
}

/// What `guard` has decided for this request: in a layer around warp, or in a filter around this
/// one.
pub(crate) fn recall(guard: &Guard, head: &Head) -> Option<Guarded> {
    let layered = head.layered.as_ref();
    if let Some(layered) = layered.filter(|layered| layered.guard().is_same(guard)) {
        return Some(layered.clone());
    }
    let entries = IN_FLIGHT.get(&task::try_id()?)?;
    let own =
        |entry: &&Arc<Entry>| entry.guarded.guard().is_same(guard) && entry.head.is_like(head);
    entries
        .iter()
        .rev()
        .find(own)
        .map(|entry| entry.guarded.clone())
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some((task, entry)) = &self.0 else { return };
        let emptied = IN_FLIGHT.get_mut(task).is_some_and(|mut entries| {
            entries.retain(|other| !Arc::ptr_eq(other, entry));
            entries.is_empty()
        });
        if emptied {
            IN_FLIGHT.remove_if(task, |_, entries| entries.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::sync::oneshot;
    use warp::Filter;

    use super::*;
    use crate::IpGuard;
    use crate::head::head;

    fn request() -> warp::test::RequestBuilder {
        warp::test::request().remote_addr((Ipv4Addr::LOCALHOST, 40_000).into())
    }

    fn guard() -> Guard {
        Guard::builder().build().expect("the defaults are right")
    }

    #[tokio::test]
    async fn a_decision_is_found_while_it_is_kept() {
        let task = tokio::spawn(async {
            let guard = guard();
            let head = || async { request().filter(&head()).await.expect("infallible") };
            let step = guard.decide(&head().await);
            let guarded = Guarded::new(guard.clone(), step.decision().await);
            let kept = keep(head().await, guarded);
            assert!(recall(&guard, &head().await).is_some());
            assert!(recall(&self::guard(), &head().await).is_none());
            drop(kept);
            assert!(recall(&guard, &head().await).is_none());
            assert!(!IN_FLIGHT.contains_key(&task::id()));
        });
        task.await.expect("all of it holds");
    }

    #[tokio::test]
    async fn a_cancelled_request_leaves_nothing_behind() {
        let (reached, reaches) = oneshot::channel::<()>();
        let reached = Arc::new(std::sync::Mutex::new(Some(reached)));
        let routes = IpGuard::new(guard()).wrap(warp::any().then(move || {
            drop(reached.lock().map(|mut reached| reached.take()));
            std::future::pending::<&'static str>()
        }));
        let answering = tokio::spawn(async move { request().reply(&routes).await });
        // The sender is dropped.
        assert!(reaches.await.is_err());
        let id = answering.id();
        assert!(IN_FLIGHT.contains_key(&id));
        answering.abort();
        assert!(answering.await.is_err());
        assert!(!IN_FLIGHT.contains_key(&id));
    }
}

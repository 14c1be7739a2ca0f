use std::future::ready;

use ipwhois_guard_core::RequestHead;
use ipwhois_guard_tower::{StatusPage, page_response};
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::IpGuard;
use crate::head::head;

/// The guard's status page at a path, as a filter beside the application's routes: see
/// [`Guard::status_page`](crate::Guard::status_page).
///
/// ```
/// use ipwhois_guard_warp::{Guard, IpGuard, status_page};
/// use warp::Filter;
///
/// # fn main() -> Result<(), ipwhois_guard_warp::BuildError> {
/// let guard = IpGuard::new(Guard::builder().build()?);
/// let routes = warp::path!("admin").map(|| "the admin area");
/// let app = guard.wrap(routes.or(status_page(&guard, "/guard")));
/// # warp::service(app);
/// # Ok(())
/// # }
/// ```
pub fn status_page(
    guard: &IpGuard,
    path: &str,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static + use<> {
    let page = guard.guard().status_page(path);
    let guard = guard.clone();
    let covered = {
        let page = page.clone();
        head().and_then(move |head| {
            let head = guard.with_peer(head);
            let covers = page.covers(head.path());
            ready(covers.then_some(head).ok_or_else(warp::reject::not_found))
        })
    };
    let query = warp::query::raw().map(Some);
    let query = query.or(warp::any().map(|| None)).unify();
    let form = warp::post()
        .and(warp::body::content_length_limit(
            StatusPage::MAX_FORM_BYTES as u64,
        ))
        .and(warp::body::bytes())
        .map(Vec::<u8>::from);
    // Of a longer body nothing is read, and an empty form is refused.
    let form = form.or(warp::any().map(Vec::new)).unify();
    covered
        .and(query)
        .and(form)
        .map(move |head, query: Option<String>, form: Vec<u8>| {
            page_response(page.answer(&head, query.as_deref(), &form))
        })
}

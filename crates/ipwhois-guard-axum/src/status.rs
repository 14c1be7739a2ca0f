use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use ipwhois_guard_tower::{Guard, HttpHead, StatusPage, page_response};

use crate::ConnectionContext;

/// The guard's status page at a path, to be merged into the application's router: see
/// [`Guard::status_page`].
///
/// ```
/// use axum::Router;
/// use ipwhois_guard_axum::{Guard, status_page};
///
/// # fn main() -> Result<(), ipwhois_guard_axum::BuildError> {
/// let guard = Guard::builder().build()?;
/// let app: Router = Router::new().merge(status_page(&guard, "/guard"));
/// # drop(app);
/// # Ok(())
/// # }
/// ```
pub fn status_page<S>(guard: &Guard, path: &str) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let page = guard.status_page(path);
    let base = page.path().trim_end_matches('/').to_owned();
    let handler = move |request: Request| answer(page.clone(), request);
    let router = Router::new()
        .route(&format!("{base}/"), any(handler.clone()))
        .route(&format!("{base}/{{*rest}}"), any(handler.clone()));
    match base.as_str() {
        "" => router,
        base => router.route(base, any(handler)),
    }
}

async fn answer(page: StatusPage, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // Of a longer body nothing is read, and an empty form is refused.
    let form = to_bytes(body, StatusPage::MAX_FORM_BYTES).await;
    let head = HttpHead::<ConnectionContext>::from(&parts);
    page_response(page.answer(&head, parts.uri.query(), &form.unwrap_or_default()))
}

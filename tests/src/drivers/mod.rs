//! One file a framework.

mod axum;
mod warp;

pub use self::axum::Axum;
pub use self::warp::Warp;

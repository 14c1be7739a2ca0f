//! One file a framework.

mod actix;
mod axum;
mod warp;

pub use self::actix::Actix;
pub use self::axum::Axum;
pub use self::warp::Warp;

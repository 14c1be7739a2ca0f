//! One file a framework.

mod actix;
mod axum;
mod rocket;
mod warp;

pub use self::actix::Actix;
pub use self::axum::Axum;
pub use self::rocket::Rocket;
pub use self::warp::Warp;

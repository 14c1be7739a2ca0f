//! One file a framework.

mod axum;

pub use self::axum::Axum;

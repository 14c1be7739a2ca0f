use ipwhois_guard_core::{BuildError, Guard, GuardBuilder, Settings};

use crate::RedisStore;

/// A guard configured by the environment, which shares what it knows when `IPWHOIS_GUARD_REDIS_URL`
/// is set.
///
/// # Errors
/// As [`Guard::from_env`], and when the URL cannot be used.
pub fn guard_from_env() -> Result<Guard, BuildError> {
    guard_from_settings(Settings::from_env()?)
}

/// A guard with these settings, which shares what it knows when `redis_url` is set.
///
/// # Errors
/// As [`Guard::from_settings`], and when the URL cannot be used.
pub fn guard_from_settings(settings: Settings) -> Result<Guard, BuildError> {
    let url = settings.redis_url.clone();
    let builder = GuardBuilder::from(settings);
    match url {
        Some(url) => builder.shared(RedisStore::connect(url.expose())?).build(),
        None => builder.build(),
    }
}

//! The API key, which nothing may show.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A key for the service. Its `Debug` is `ApiKey(hidden)`; there is no way to print it.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes the key. Whether it can be sent (1 to 512 visible ASCII characters) is checked when the guard is built.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself, for the request's header and nothing else.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl From<&str> for ApiKey {
    fn from(key: &str) -> Self {
        Self(key.to_owned())
    }
}

impl<'de> Deserialize<'de> for ApiKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(KeyVisitor)
    }
}

/// serde's own message about a wrong type shows the value: "invalid type: integer `123`". This one does not.
struct KeyVisitor;

impl KeyVisitor {
    fn refuse<E: de::Error>() -> Result<ApiKey, E> {
        Err(E::custom("the key must be text in quotes"))
    }
}

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = ApiKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key in quotes")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<ApiKey, E> {
        Ok(ApiKey::new(key))
    }

    fn visit_string<E: de::Error>(self, key: String) -> Result<ApiKey, E> {
        Ok(ApiKey(key))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<ApiKey, E> {
        Self::refuse()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<ApiKey, E> {
        Self::refuse()
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<ApiKey, E> {
        Self::refuse()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<ApiKey, E> {
        Self::refuse()
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<ApiKey, E> {
        Self::refuse()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<ApiKey, E> {
        Self::refuse()
    }
}

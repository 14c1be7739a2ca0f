//! Texts that nothing may show.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error};

use crate::shown::slip;

/// Text whose errors show nothing of it. serde's own message about a wrong type shows the value.
pub(super) fn deserialize_hidden<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    T::deserialize(deserializer).map_err(|_| Error::custom("must be text in quotes"))
}

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(String);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_hidden(deserializer).map(Self)
            }
        }
    };
}

secret! {
    /// A key for the service. Its `Debug` is `ApiKey(hidden)`; there is no way to print it.
    ApiKey
}

secret! {
    /// A URL that may hold a password. Its `Debug` is `SecretUrl(hidden)`.
    SecretUrl
}

secret! {
    /// The token of the status page. Its `Debug` is `StatusToken(hidden)`.
    StatusToken
}

impl StatusToken {
    /// Takes the token. It is checked when the guard is built.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl ApiKey {
    /// Takes the key. Whether it can be sent (1 to 512 visible ASCII characters) is checked when
    /// the guard is built.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself, for the request's header and nothing else.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl SecretUrl {
    /// Takes the URL, unread. What uses it says what is wrong with it.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// What no URL can mean, as the rest of the sentence "`…`": quotes that no shell removed, a
    /// variable that nothing replaced, a character that cannot be seen.
    #[must_use]
    pub fn slip(&self) -> Option<String> {
        slip(&self.0, true)
    }

    /// The URL with its password.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

//! The settings: one set of names for the builder, TOML, figment and the environment.

mod check;
mod env;
mod file;
mod secret;
#[cfg(test)]
mod tests;
mod text;
mod value;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use self::value::{Seed, Value};
use crate::all_settings::for_each_setting;
use crate::error::BuildError;
use crate::feed::FeedAction;
use crate::logins::BanScope;
use crate::rules::{Mode, OnUnverified, Policy, Rule};
use crate::shown::is_secret;

pub use self::secret::{ApiKey, SecretUrl};

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $secrecy:ident, $($set:ident)+;)+) => {
        /// Everything that can be configured. What is not said keeps its default.
        ///
        /// In TOML and figment the names are those of the fields, durations are text (`"1h"`,
        /// `"500ms"`, `"1h 30m"`), lists are arrays, and an unknown name is an error. In the
        /// environment the names are in capitals after `IPWHOIS_GUARD_`, and lists are separated
        /// by commas. Values are checked when the guard is built.
        ///
        /// ```toml
        /// trusted_proxies = ["10.0.0.0/8"]
        /// max_wait = "250ms"
        /// protect = ["/admin", { path = "/login", methods = ["POST"], on_unverified = "deny" }]
        /// ```
        #[derive(Clone)]
        #[non_exhaustive]
        pub struct Settings {
            $($(#[$doc])* pub $name: $type,)+
        }

        /// The names of all settings.
        const NAMES: &[&str] = &[$(stringify!($name)),+];

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Settings {
            /// Sets one from text, or says what is wrong with that.
            fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
                match name {
                    $(stringify!($name) => self.$name = Value::read(text)?,)+
                    _ => {}
                }
                Ok(())
            }

            /// Sets one from a map's next value. `false`: there is no setting of this name.
            fn set_next<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
                match name {
                    $(stringify!($name) => self.$name = map.next_value_seed(Seed::new(is_secret(name)))?,)+
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// Refuses texts that no setting can mean.
            fn check_texts(&self) -> Result<(), BuildError> {
                let refuse = |name, slip| match slip {
                    Some((text, reason)) => Err(BuildError::setting(name, text, reason)),
                    None => Ok(()),
                };
                $(refuse(stringify!($name), self.$name.slip(is_secret(stringify!($name))))?;)+
                Ok(())
            }
        }

        /// Without the secrets.
        impl fmt::Debug for Settings {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut shown = f.debug_struct("Settings");
                $(match is_secret(stringify!($name)) {
                    true => shown.field(stringify!($name), &self.$name.hidden()),
                    false => shown.field(stringify!($name), &self.$name),
                };)+
                shown.finish()
            }
        }
    };
}

for_each_setting!(settings);

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Settings", NAMES, SettingsVisitor)
    }
}

struct SettingsVisitor;

impl<'de> Visitor<'de> for SettingsVisitor {
    type Value = Settings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Settings, A::Error> {
        let mut settings = Settings::default();
        while let Some(name) = map.next_key::<String>()? {
            if !settings.set_next(&name, &mut map)? {
                return Err(de::Error::unknown_field(&name, NAMES));
            }
        }
        Ok(settings)
    }
}

impl Settings {
    /// What holds for a request unless its rule says otherwise.
    pub(crate) const fn default_policy(&self) -> Policy {
        Policy {
            on_unknown_client: self.on_unknown_client,
            ..Policy::new(self.min_confidence, self.mode, self.on_unverified)
        }
    }
}

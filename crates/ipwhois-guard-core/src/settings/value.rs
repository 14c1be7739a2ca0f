//! How each type of setting is read from text and from TOML, and what its texts cannot mean.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Deserialize, DeserializeSeed, Deserializer};

use super::secret::{ApiKey, SecretUrl, deserialize_hidden};
use super::text;
use crate::feed::FeedAction;
use crate::logins::BanScope;
use crate::rules::{Mode, OnUnverified, Rule, UnknownChoice, check_path};
use crate::shown::{file_slip, printable, slip};

/// A text, and what is wrong with it as the rest of the sentence.
pub(super) type Slip = Option<(String, String)>;

/// A setting's type.
pub(super) trait Value: Sized {
    /// Reads a variable of the environment.
    fn read(text: &str) -> Result<Self, String>;

    /// Reads a value in TOML or figment.
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// The text, if it is one.
    fn text(&self) -> Option<&str> {
        None
    }

    /// What is wrong with a text whatever the setting.
    fn slip(&self, is_secret: bool) -> Slip {
        let text = self.text()?;
        Some((text.to_owned(), slip(text, is_secret)?))
    }

    /// In place of a secret.
    fn hidden(&self) -> Option<fmt::Arguments<'static>> {
        self.text().map(|_| format_args!("(hidden)"))
    }
}

/// Reads a value, with an error that shows nothing of a secret.
pub(super) struct Seed<T> {
    is_secret: bool,
    value: PhantomData<T>,
}

impl<T> Seed<T> {
    pub(super) const fn new(is_secret: bool) -> Self {
        let value = PhantomData;
        Self { is_secret, value }
    }
}

impl<'de, T: Value> DeserializeSeed<'de> for Seed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        let read = if self.is_secret {
            deserialize_hidden(deserializer)
        } else {
            Read::deserialize(deserializer)
        };
        read.map(|Read(value)| value)
    }
}

/// A [`Value`] for serde, which has its own idea of durations.
struct Read<T>(T);

impl<'de, T: Value> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// `None` is what a setting has that is not said.
impl<T: Value> Value for Option<T> {
    fn read(text: &str) -> Result<Self, String> {
        T::read(text).map(Some)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Option::<Read<T>>::deserialize(deserializer)?;
        Ok(read.map(|Read(value)| value))
    }

    fn text(&self) -> Option<&str> {
        self.as_ref()?.text()
    }

    fn slip(&self, is_secret: bool) -> Slip {
        self.as_ref()?.slip(is_secret)
    }
}

impl Value for Duration {
    fn read(text: &str) -> Result<Self, String> {
        text::duration(text)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize_duration(deserializer)
    }
}

/// Types whose TOML is serde's business.
macro_rules! values {
    ($($type:ty: $read:expr $(, $text:ident: $as_text:expr)?;)+) => {
        $(impl Value for $type {
            fn read(text: &str) -> Result<Self, String> {
                let read: fn(&str) -> Result<Self, String> = $read;
                read(text)
            }

            fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Deserialize::deserialize(deserializer)
            }

            $(values!(@ $text $as_text);)?
        })+
    };
    (@ text $as_text:expr) => {
        fn text(&self) -> Option<&str> {
            let as_text: fn(&Self) -> &str = $as_text;
            Some(as_text(self))
        }
    };
    (@ slip $of:expr) => {
        fn slip(&self, _: bool) -> Slip {
            let of: fn(&Self) -> Slip = $of;
            of(self)
        }
    };
}

values! {
    bool: text::boolean;
    u8: text::confidence;
    u32: text::number;
    usize: text::number;
    Mode: |text| text.parse().map_err(choice);
    OnUnverified: |text| text.parse().map_err(choice);
    FeedAction: |text| text.parse().map_err(choice);
    BanScope: |text| text.parse().map_err(choice);
    String: |text| Ok(text.to_owned()), text: String::as_str;
    ApiKey: |text| Ok(text.into()), text: ApiKey::expose;
    SecretUrl: |text| Ok(text.into()), text: SecretUrl::expose;
    PathBuf: |text| Ok(text.into()), slip: |path| Some((path.display().to_string(), file_slip(path)?));
    // The blanks around an item do not count.
    Vec<String>: |text| Ok(text::items(text).map(str::to_owned).collect()),
        slip: |items| items.iter().find_map(|item| Some((item.clone(), slip(item.trim(), false)?)));
    // A rule's path and methods are checked where it is read.
    Vec<Rule>: |text| text::items(text).map(rule).collect();
}

fn rule(path: &str) -> Result<Rule, String> {
    match check_path(path) {
        Ok(()) => Ok(Rule::path(path)),
        Err(reason) => Err(format!(
            "holds a path, `{}`, that {reason}",
            printable(path.as_bytes())
        )),
    }
}

fn choice(error: UnknownChoice) -> String {
    error.reason().to_owned()
}

//! A rule as it is written by whoever configures the guard.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::{Mode, OnUnverified};

/// Which requests are guarded, and how: a path and all paths below it.
///
/// `/admin` covers `/admin`, `/admin/` and `/admin/users`, not `/administrator`. `/` covers
/// everything. What a rule does not say is taken from the guard's settings. When several rules
/// cover a request, the longest path wins, then a rule that names methods, then the first.
///
/// In settings a rule is a string, `"/admin"`, or a table with the keys `path`, `methods`,
/// `min_confidence`, `mode`, `on_unverified`, `on_unknown_client` and `sensitive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) path: String,
    pub(super) methods: Option<Vec<String>>,
    pub(super) min_confidence: Option<u8>,
    pub(super) mode: Option<Mode>,
    pub(super) on_unverified: Option<OnUnverified>,
    pub(super) on_unknown_client: Option<OnUnverified>,
    pub(super) sensitive: Option<bool>,
}

impl Rule {
    /// A rule for this path and everything below it, with any method.
    ///
    /// The path begins with `/` and is no pattern: `*`, `{id}`, `<id>` and `/:id` are refused when
    /// the guard is built, and so are blanks, `;`, `?`, `#`, characters that cannot be seen, and
    /// the segments `.` and `..`. It is percent-decoded once: `%20` is a blank. Upper and lower
    /// case differ, and a slash at its end makes no difference.
    #[must_use]
    pub fn path(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            methods: None,
            min_confidence: None,
            mode: None,
            on_unverified: None,
            on_unknown_client: None,
            sensitive: None,
        }
    }

    /// Only these methods, in any case. `GET` covers `HEAD` too, since frameworks answer `HEAD`
    /// with the handler for `GET`.
    #[must_use]
    pub fn methods<I>(mut self, methods: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.methods = Some(methods.into_iter().map(Into::into).collect());
        self
    }

    /// The confidence, 0 to 100, from which a listed client is denied.
    #[must_use]
    pub fn min_confidence(mut self, min_confidence: u8) -> Self {
        self.min_confidence = Some(min_confidence);
        self
    }

    /// Whether these requests are refused, only observed, or left alone.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// What happens to a client that cannot be verified.
    #[must_use]
    pub fn on_unverified(mut self, on_unverified: OnUnverified) -> Self {
        self.on_unverified = Some(on_unverified);
        self
    }

    /// What happens to a client whose address cannot be determined. Default: what the setting of
    /// this name says, or else the same as `on_unverified`.
    #[must_use]
    pub fn on_unknown_client(mut self, on_unknown_client: OnUnverified) -> Self {
        self.on_unknown_client = Some(on_unknown_client);
        self
    }

    /// Whether an unknown client here is worth a check ahead of others: a login, an admin area. It
    /// takes precedence over the pace of the day's budget, not over the part that is kept for
    /// urgent checks. Default: no.
    #[must_use]
    pub fn sensitive(mut self, sensitive: bool) -> Self {
        self.sensitive = Some(sensitive);
        self
    }
}

impl From<&str> for Rule {
    fn from(path: &str) -> Self {
        Self::path(path)
    }
}

impl From<String> for Rule {
    fn from(path: String) -> Self {
        Self::path(path)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RuleVisitor)
    }
}

/// Reads a string or a table. Derived `untagged` code would answer every mistake with "did not
/// match any variant".
struct RuleVisitor;

const KEYS: &[&str] = &[
    "path",
    "methods",
    "min_confidence",
    "mode",
    "on_unverified",
    "on_unknown_client",
    "sensitive",
];

impl<'de> Visitor<'de> for RuleVisitor {
    type Value = Rule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path like `/admin`, or a table with a `path`")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<Rule, E> {
        Ok(Rule::path(path))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rule, A::Error> {
        let mut path: Option<String> = None;
        let mut rule = Rule::path(String::new());
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "path" => once(&mut path, "path", &mut map)?,
                "methods" => once(&mut rule.methods, "methods", &mut map)?,
                "min_confidence" => once(&mut rule.min_confidence, "min_confidence", &mut map)?,
                "mode" => once(&mut rule.mode, "mode", &mut map)?,
                "on_unverified" => once(&mut rule.on_unverified, "on_unverified", &mut map)?,
                "on_unknown_client" => {
                    once(&mut rule.on_unknown_client, "on_unknown_client", &mut map)?;
                }
                "sensitive" => once(&mut rule.sensitive, "sensitive", &mut map)?,
                unknown => return Err(de::Error::unknown_field(unknown, KEYS)),
            }
        }
        rule.path = path.ok_or_else(|| de::Error::missing_field("path"))?;
        Ok(rule)
    }
}

fn once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    slot: &mut Option<T>,
    key: &'static str,
    map: &mut A,
) -> Result<(), A::Error> {
    if slot.replace(map.next_value()?).is_some() {
        return Err(de::Error::duplicate_field(key));
    }
    Ok(())
}

//! Which requests are guarded, and how strictly.
//!
//! 1. Without rules every request is guarded with the settings' defaults. With rules, those that a
//!    rule covers are.
//! 2. A rule covers its path and what is below it, by whole segments, with the methods that it
//!    names.
//! 3. Of several rules the longest path wins, then one that names methods, then the first.
//! 4. **No path that reaches a protected handler may slip past its rule.** A path that can be read
//!    in several ways (percent escapes, `//`, dot segments) is held against the rules in each of
//!    them. When that picks different rules, the strictest of what they say holds.
//! 5. A path in which dot segments and escapes or empty segments come together has more readings
//!    than anyone can list. It is covered by every rule whose segments occur in it in their order.
//!    No honest client sends such a path.
//! 6. An exempt path is never guarded, whatever rules cover it. So an exemption holds only where
//!    all readings agree: for the plain spelling of its path and of what is below it.

mod choice;
mod path;
mod rule;
#[cfg(test)]
mod tests;

use self::path::{Dots, Prefix, RequestPath, Spelling, is_plain};
use crate::error::BuildError;
use crate::shown::slip;
use crate::token::is_token;

pub use self::choice::{Mode, OnUnverified, UnknownChoice};
pub use self::rule::Rule;

/// What holds for one request: the settings' defaults, with what its rule says instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The confidence, 0 to 100, from which a listed client is denied.
    pub(crate) min_confidence: u8,
    /// Whether a denial is carried out.
    pub(crate) mode: Mode,
    /// What happens to a client that cannot be verified.
    pub(crate) on_unverified: OnUnverified,
    /// What happens to a client without an address. `None`: the same.
    pub(crate) on_unknown_client: Option<OnUnverified>,
    /// Whether an unknown client is worth a check ahead of others.
    pub(crate) sensitive: bool,
}

impl Policy {
    pub(crate) const fn new(min_confidence: u8, mode: Mode, on_unverified: OnUnverified) -> Self {
        Self {
            min_confidence,
            mode,
            on_unverified,
            on_unknown_client: None,
            sensitive: false,
        }
    }

    /// What happens to a client that cannot be verified, whether or not it has an address.
    pub(crate) fn on_unverified(&self, has_address: bool) -> OnUnverified {
        let unknown = self.on_unknown_client.filter(|_| !has_address);
        unknown.unwrap_or(self.on_unverified)
    }

    /// What refuses at least as much as either of the two.
    fn stricter(self, other: Self) -> Self {
        Self {
            min_confidence: self.min_confidence.min(other.min_confidence),
            mode: self.mode.stricter(other.mode),
            on_unverified: self.on_unverified.stricter(other.on_unverified),
            on_unknown_client: self.on_unknown_client.or(other.on_unknown_client).map(|_| {
                self.on_unverified(false)
                    .stricter(other.on_unverified(false))
            }),
            sensitive: self.sensitive || other.sensitive,
        }
    }
}

/// Whether the text can be a rule's path, or what is wrong with it as the rest of the sentence.
pub(crate) fn check_path(path: &str) -> Result<(), String> {
    Prefix::parse(path).map(drop)
}

/// All rules of a guard, checked and in the order in which they win.
#[derive(Clone, Debug)]
pub(crate) struct RuleSet {
    rules: Vec<Compiled>,
    exempt: Vec<Prefix>,
    defaults: Policy,
}

#[derive(Clone, Debug)]
struct Compiled {
    /// As it was written.
    path: String,
    prefix: Prefix,
    /// Empty: any.
    methods: Vec<String>,
    policy: Policy,
}

const SETTING: &str = "protect";

impl RuleSet {
    /// Checks the rules and the paths that are exempt from them. `defaults` fills in what the rules
    /// leave open, and holds for every request when there are none.
    pub(crate) fn new(
        rules: &[Rule],
        exempt: &[String],
        defaults: Policy,
    ) -> Result<Self, BuildError> {
        let exempt = exempt
            .iter()
            .map(|path| read_exempt(path))
            .collect::<Result<Vec<_>, _>>()?;
        let compile = |rule: &Rule| {
            let compiled = Compiled::new(rule, defaults)?;
            if exempt.iter().any(|path| path.contains(&compiled.prefix)) {
                let reason = "has no effect: `exempt` has this path or one above it";
                return Err(BuildError::setting(SETTING, &rule.path, reason));
            }
            Ok(compiled)
        };
        let mut rules = rules.iter().map(compile).collect::<Result<Vec<_>, _>>()?;
        // The sort is stable: among equals the first stays the first.
        rules.sort_by_key(|rule| {
            let any_method = rule.methods.is_empty();
            (std::cmp::Reverse(rule.prefix.len()), any_method)
        });
        for (n, rule) in rules.iter().enumerate() {
            if rule.is_idle_behind(&rules[..n]) {
                let reason = "has a second rule, with no effect: the first one covers its methods";
                return Err(BuildError::setting(SETTING, &rule.path, reason));
            }
        }
        Ok(Self {
            rules,
            exempt,
            defaults,
        })
    }

    /// What holds where no rule says otherwise.
    pub(crate) const fn defaults(&self) -> Policy {
        self.defaults
    }

    /// What holds for a request with this method and raw path; `None` when it is not in scope. Does
    /// not allocate.
    pub(crate) fn policy(&self, method: &str, path: &str) -> Option<Policy> {
        let path = path.as_bytes();
        if self.exempt.iter().any(|exempt| exempt.is_surely(path)) {
            return None;
        }
        if self.rules.is_empty() {
            return Some(self.defaults);
        }
        for rule in &self.rules {
            // A rule's own part of the path is plain.
            if rule.names(method)
                && let Some(rest) = rule.prefix.rest_of(path)
                && is_plain(rest)
            {
                return Some(rule.policy);
            }
        }
        if is_plain(path) {
            None
        } else {
            self.by_all_readings(method, RequestPath::new(path))
        }
    }

    /// The path of the rule that covers a request; `*` where there is none. For a path that can be
    /// read in several ways, of which the strictest rule holds: those of all rules that may.
    pub(crate) fn rule_of(&self, method: &str, path: &str) -> String {
        let bytes = path.as_bytes();
        if is_plain(bytes) {
            let covers =
                |rule: &&Compiled| rule.names(method) && rule.prefix.rest_of(bytes).is_some();
            let covering = self.rules.iter().find(covers);
            return covering.map_or("*", |rule| &rule.path).to_owned();
        }
        let covers = |rule: &&Compiled| {
            let alone = Self {
                rules: vec![(*rule).clone()],
                exempt: Vec::new(),
                defaults: self.defaults,
            };
            alone.policy(method, path).is_some()
        };
        let covering = self.rules.iter().filter(covers);
        let paths: Vec<_> = covering.map(|rule| rule.path.as_str()).collect();
        match paths.is_empty() {
            true => "*".to_owned(),
            false => paths.join(" "),
        }
    }

    /// What a path picks that can be read in several ways.
    #[inline(never)]
    fn by_all_readings(&self, method: &str, path: RequestPath<'_>) -> Option<Policy> {
        let picked = self.as_it_stands(method, path);
        let resolved = self.with_dots_resolved(method, path);
        picked.into_iter().chain(resolved).reduce(Policy::stricter)
    }

    /// What the path's spellings pick, dot segments being segments like others.
    fn as_it_stands(&self, method: &str, path: RequestPath<'_>) -> Option<Policy> {
        // `/admin//health` is `/admin/health` for who collapses slashes, and something else below
        // `/admin` for who does not. So the longest rule does not settle it.
        let how_many = if path.has_empty_segment() {
            usize::MAX
        } else {
            1
        };
        path.spellings()
            .iter()
            .map(|&spelling| path.segments(spelling))
            .flat_map(|segments| {
                self.covering(method, move |prefix| prefix.starts(segments))
                    .take(how_many)
            })
            .reduce(Policy::stricter)
    }

    /// What the path picks once `.` and `..` have done their work.
    fn with_dots_resolved(&self, method: &str, path: RequestPath<'_>) -> Option<Policy> {
        match path.dots() {
            Dots::None => None,
            Dots::Plain => {
                let segments = path.segments(Spelling::Raw);
                self.covering(method, |prefix| prefix.starts_resolved(segments))
                    .next()
            }
            Dots::Tangled => path
                .spellings()
                .iter()
                .map(|&spelling| path.segments(spelling))
                .flat_map(|segments| {
                    self.covering(method, move |prefix| prefix.occurs_in_order(segments))
                })
                .reduce(Policy::stricter),
        }
    }

    /// The policies of the rules for this method whose prefix passes, the one that wins first.
    fn covering(
        &self,
        method: &str,
        covers: impl Fn(&Prefix) -> bool,
    ) -> impl Iterator<Item = Policy> {
        self.rules
            .iter()
            .filter(move |rule| rule.names(method) && covers(&rule.prefix))
            .map(|rule| rule.policy)
    }
}

/// Reads a path that is exempt. It is written as a request for it is, plainly.
fn read_exempt(path: &str) -> Result<Prefix, BuildError> {
    let refuse = |reason: String| Err(BuildError::setting("exempt", path, reason));
    let prefix = match Prefix::parse(path) {
        Ok(prefix) => prefix,
        Err(reason) => return refuse(reason),
    };
    if prefix.len() == 0 {
        return refuse("exempts every path: `mode = off` does that".to_owned());
    }
    if !prefix.is_surely(path.as_bytes()) {
        let reason = "can be read in several ways: an exempt path is plain ASCII, without `%`, \
                      `//` and segments that begin with `.`";
        return refuse(reason.to_owned());
    }
    Ok(prefix)
}

impl Compiled {
    fn new(rule: &Rule, defaults: Policy) -> Result<Self, BuildError> {
        let refuse = |value: &str, reason: String| Err(BuildError::setting(SETTING, value, reason));
        let path = rule.path.as_str();
        let prefix = match Prefix::parse(path) {
            Ok(prefix) => prefix,
            Err(reason) => return refuse(path, reason),
        };
        let methods = match &rule.methods {
            None => Vec::new(),
            Some(methods) if methods.is_empty() => {
                let reason = "has an empty list of methods: leave it out to cover all of them";
                return refuse(path, reason.to_owned());
            }
            Some(methods) => methods.clone(),
        };
        let is_any = |method: &str| ["*", "any", "all"].contains(&&*method.to_ascii_lowercase());
        for method in &methods {
            let reason = match slip(method, false) {
                Some(reason) => reason,
                None if !is_token(method) => "is no HTTP method".to_owned(),
                None if is_any(method) => "is no HTTP method: leave `methods` out".to_owned(),
                None => continue,
            };
            return refuse(method, format!("{reason}, in the rule for `{path}`"));
        }
        if let Some(confidence) = rule.min_confidence.filter(|&confidence| confidence > 100) {
            let reason = format!("is no confidence from 0 to 100, in the rule for `{path}`");
            return refuse(&confidence.to_string(), reason);
        }
        Ok(Self {
            path: path.to_owned(),
            prefix,
            methods,
            policy: Policy {
                min_confidence: rule.min_confidence.unwrap_or(defaults.min_confidence),
                mode: rule.mode.unwrap_or(defaults.mode),
                on_unverified: rule.on_unverified.unwrap_or(defaults.on_unverified),
                on_unknown_client: rule.on_unknown_client.or(defaults.on_unknown_client),
                sensitive: rule.sensitive.unwrap_or(defaults.sensitive),
            },
        })
    }

    /// Whether rules for the same path win for every method, and one of them says something else.
    fn is_idle_behind(&self, winners: &[Self]) -> bool {
        let same_path = |rule: &&Self| {
            rule.prefix.len() == self.prefix.len() && rule.prefix.contains(&self.prefix)
        };
        let winners: Vec<_> = winners.iter().filter(same_path).collect();
        let is_taken = |method: &String| winners.iter().any(|rule| rule.names(method));
        let all_taken = match self.methods.is_empty() {
            true => winners.iter().any(|rule| rule.methods.is_empty()),
            false => self.methods.iter().all(is_taken),
        };
        all_taken && winners.iter().any(|rule| rule.policy != self.policy)
    }

    #[inline]
    fn names(&self, method: &str) -> bool {
        self.methods.is_empty()
            || self.methods.iter().any(|named| {
                named.eq_ignore_ascii_case(method)
                    || named.eq_ignore_ascii_case("GET") && method.eq_ignore_ascii_case("HEAD")
            })
    }
}

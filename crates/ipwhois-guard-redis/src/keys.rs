//! The names of the keys.
//!
//! What one script touches shares the part in braces, so that a proxy or a cluster keeps it
//! together. The names are on users' servers: a format that changes takes another name, unless its
//! values begin with their version.

use std::net::IpAddr;

use ipwhois_guard_core::store::{AttemptId, Scope};

#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
    channel: String,
}

impl Keys {
    /// Announcements know no databases, so their channel names it.
    pub(crate) fn new(prefix: &str, database: i64) -> Self {
        Self {
            prefix: prefix.to_owned(),
            channel: format!("{prefix}announcements:{database}"),
        }
    }

    pub(crate) fn verdict(&self, ip: IpAddr) -> String {
        self.of("verdict", ip)
    }

    pub(crate) fn lease(&self, ip: IpAddr) -> String {
        self.of("lease", ip)
    }

    /// For the client and each of its wider networks: failures, attempts under way, and the mark
    /// that the last failure leaves. They share the widest network's place.
    pub(crate) fn attempts(&self, client: Scope) -> Vec<String> {
        let place = client.widest().address();
        let scopes = client.with_wider().flat_map(|scope| {
            ["failures", "attempts", "tripped"].map(|what| {
                let key = self.of(what, place);
                match scope.address() {
                    IpAddr::V4(_) => key,
                    IpAddr::V6(_) => format!("{key}:{scope}"),
                }
            })
        });
        scopes.collect()
    }

    /// The mark that the end of an attempt leaves for its begin.
    pub(crate) fn ended(&self, client: Scope, attempt: AttemptId) -> String {
        let key = self.of("ended", client.widest().address());
        format!("{key}:{}", attempt.0)
    }

    pub(crate) fn granted(&self, day: u64) -> String {
        format!("{}{{budget}}:granted:{day}", self.prefix)
    }

    /// The machines that spend checks.
    pub(crate) fn machines(&self) -> String {
        format!("{}{{budget}}:machines", self.prefix)
    }

    /// Bans by their end, the same by their beginning, and lifts.
    pub(crate) fn bans(&self) -> [String; 3] {
        ["ends", "since", "lifted"].map(|what| format!("{}{{bans}}:{what}", self.prefix))
    }

    /// The key of accounts, and the epoch.
    pub(crate) fn greeting(&self) -> [String; 2] {
        ["account-key", "epoch"].map(|what| format!("{}{{greeting}}:{what}", self.prefix))
    }

    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    fn of(&self, what: &str, ip: IpAddr) -> String {
        format!("{}{what}:{{{}}}", self.prefix, ip.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_what_earlier_versions_wrote() {
        let keys = Keys::new("ipwhois-guard:", 2);
        let ip = [25, 0, 0, 7].into();
        assert_eq!(keys.verdict(ip), "ipwhois-guard:verdict:{25.0.0.7}");
        assert_eq!(keys.lease(ip), "ipwhois-guard:lease:{25.0.0.7}");
        assert_eq!(
            keys.bans(),
            [
                "ipwhois-guard:{bans}:ends",
                "ipwhois-guard:{bans}:since",
                "ipwhois-guard:{bans}:lifted",
            ]
        );
        assert_eq!(keys.channel(), "ipwhois-guard:announcements:2");
        assert_eq!(
            keys.attempts(Scope::of(ip)),
            [
                "ipwhois-guard:failures:{25.0.0.7}",
                "ipwhois-guard:attempts:{25.0.0.7}",
                "ipwhois-guard:tripped:{25.0.0.7}",
            ]
        );
        let subscriber = Scope::of([0x3ffe, 1, 2, 0x345, 0, 0, 0, 9].into());
        let failures = keys.attempts(subscriber).into_iter().step_by(3);
        assert_eq!(
            failures.collect::<Vec<_>>(),
            [
                "ipwhois-guard:failures:{3ffe:1:2::}:3ffe:1:2:345::",
                "ipwhois-guard:failures:{3ffe:1:2::}:3ffe:1:2:300::/56",
                "ipwhois-guard:failures:{3ffe:1:2::}:3ffe:1:2::/48",
            ]
        );
        assert_eq!(keys.granted(20_781), "ipwhois-guard:{budget}:granted:20781");
        assert_eq!(keys.machines(), "ipwhois-guard:{budget}:machines");
    }

    #[test]
    fn both_ways_to_write_an_ipv4_address_are_one_key() {
        let keys = Keys::new("", 0);
        let mapped = std::net::Ipv4Addr::new(25, 0, 0, 7).to_ipv6_mapped();
        assert_eq!(
            keys.verdict(mapped.into()),
            keys.verdict([25, 0, 0, 7].into())
        );
    }
}

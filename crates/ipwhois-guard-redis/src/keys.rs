//! The names of the keys.
//!
//! What one script touches shares the part in braces, so that a proxy or a cluster keeps it
//! together. The names are on users' servers: a format that changes takes another name, unless its
//! values begin with their version.

use std::net::IpAddr;

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

    /// Failures, attempts under way, and the mark that the last failure leaves.
    pub(crate) fn attempts(&self, client: IpAddr) -> Vec<String> {
        ["failures", "attempts", "tripped"]
            .map(|what| self.of(what, client))
            .into()
    }

    pub(crate) fn granted(&self, day: u64) -> String {
        format!("{}{{budget}}:granted:{day}", self.prefix)
    }

    /// The machines that spend checks.
    pub(crate) fn machines(&self) -> String {
        format!("{}{{budget}}:machines", self.prefix)
    }

    pub(crate) fn bans(&self) -> String {
        format!("{}bans", self.prefix)
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
        assert_eq!(keys.bans(), "ipwhois-guard:bans");
        assert_eq!(keys.channel(), "ipwhois-guard:announcements:2");
        let network = [0x3ffe, 0, 0, 1, 0, 0, 0, 0].into();
        assert_eq!(
            keys.attempts(network),
            [
                "ipwhois-guard:failures:{3ffe:0:0:1::}",
                "ipwhois-guard:attempts:{3ffe:0:0:1::}",
                "ipwhois-guard:tripped:{3ffe:0:0:1::}",
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

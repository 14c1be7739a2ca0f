//! Networks in place of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The /24 of an IPv4 address, the /48 of an IPv6 address.
fn network(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("{}/24", Ipv4Addr::from_bits(ip.to_bits() & !0xff)),
        IpAddr::V6(ip) => format!("{}/48", Ipv6Addr::from_bits(ip.to_bits() >> 80 << 80)),
    }
}

/// A text whose addresses are replaced by their networks.
pub(super) fn masked(text: &str) -> String {
    let is_part = |char: char| char.is_ascii_hexdigit() || matches!(char, '.' | ':');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(is_part) {
        let (before, from) = rest.split_at(begin);
        let end = from.find(|char| !is_part(char)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        let is_inside_word = before.ends_with(|char: char| char.is_alphanumeric());
        shown.push_str(before);
        match (is_inside_word, masked_word(word)) {
            (false, Some(masked)) => shown.push_str(&masked),
            _ => shown.push_str(word),
        }
        rest = after;
    }
    shown + rest
}

fn masked_word(word: &str) -> Option<String> {
    if word.len() < 3 {
        return None;
    }
    // The end of a sentence may follow.
    let ends = [word, word.trim_end_matches(['.', ':'])];
    ends.into_iter().find_map(|text| {
        let ip = text.parse::<IpAddr>().ok();
        let ip = ip.or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()));
        Some(network(ip?) + &word[text.len()..])
    })
}

/// The same for every text in JSON.
pub(super) fn mask_json(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => *text = masked(text),
        serde_json::Value::Array(items) => items.iter_mut().for_each(mask_json),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(mask_json),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_networks_wherever_they_stand() {
        for (text, expected) in [
            ("25.0.0.7", "25.0.0.0/24"),
            ("from 25.0.0.7, 26.0.1.9.", "from 25.0.0.0/24, 26.0.1.0/24."),
            ("25.0.0.7:8080", "25.0.0.0/24"),
            ("3ffe:1:2:3:4::5", "3ffe:1:2::/48"),
            ("[3ffe:1:2:3:4::5]:80", "[3ffe:1:2::/48]:80"),
            ("::1 and ::ffff:25.0.0.7", "::/48 and ::/48"),
            ("/a/25.0.0.7/b", "/a/25.0.0.0/24/b"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in [
            "",
            "at 09:04:05",
            "2026-01-01T00:00:00Z",
            "1.5",
            "std::net",
            "v1.2.3",
            "a.b.c",
            "12:30",
            "\u{e9}25",
            "deadbeef",
            "0.953",
        ] {
            assert_eq!(masked(text), text);
        }
    }
}

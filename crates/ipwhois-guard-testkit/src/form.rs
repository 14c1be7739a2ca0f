//! `application/x-www-form-urlencoded`: query strings and the body of a report.

/// The decoded fields in order, names and values.
pub(crate) fn fields(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    text.split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |&byte| byte == b'=').map(decode);
            let mut half = || halves.next().unwrap_or_default();
            (half(), half())
        })
}

/// The decoded value of the first field called `name`.
pub(crate) fn field(text: &[u8], name: &str) -> Option<String> {
    fields(text).find_map(|(key, value)| (key == name).then_some(value))
}

/// `+` is a space, `%41` an `A`. A `%` that is not followed by two hexadecimal digits stands for
/// itself, and bytes that are not UTF-8 become U+FFFD: what arrived is to be seen, not refused.
fn decode(text: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'+', _) => decoded.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                _ => decoded.push(b'%'),
            },
            _ => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, name: &str, expected: Option<&str>) {
        assert_eq!(field(text.as_bytes(), name).as_deref(), expected);
    }

    #[test]
    fn fields_are_found_and_decoded() {
        check("ip=25.0.0.1", "ip", Some("25.0.0.1"));
        check("a=1&ip=3ffe%3A%3a1&ip=second", "ip", Some("3ffe::1"));
        check("message=a+b%20c%2Bd", "message", Some("a b c+d"));
        check("m=x=y", "m", Some("x=y"));
        check("ip", "ip", Some(""));
        check("ip=", "ip", Some(""));
        check("", "ip", None);
        check("zip=1", "ip", None);
        check("m=100%&n=%4", "m", Some("100%"));
        check("m=100%&n=%4", "n", Some("%4"));
        check("m=%zz%e4", "m", Some("%zz\u{fffd}"));
        check("m=gr%C3%BC%C3%9Fe", "m", Some("grüße"));
    }

    #[test]
    fn all_fields_are_listed_as_often_as_they_stand_there() {
        let listed: Vec<_> = fields(b"a=1&&b=%26&a=2&c").collect();
        let expected = [("a", "1"), ("b", "&"), ("a", "2"), ("c", "")];
        assert_eq!(
            listed,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(text in any::<String>()) {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(field(format!("m={encoded}").as_bytes(), "m"), Some(text));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = field(&bytes, "ip");
        }
    }
}

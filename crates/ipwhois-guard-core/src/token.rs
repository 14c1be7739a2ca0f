//! What a method and the name of a header consist of.

/// A token of RFC 9110, section 5.6.2.
pub(crate) fn is_token(text: impl AsRef<[u8]>) -> bool {
    let text = text.as_ref();
    let is_token_byte =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_digits_and_some_signs_are_a_token() {
        for token in ["GET", "x-forwarded-for", "a_b.c~d", "M-SEARCH", "1"] {
            assert!(is_token(token), "{token}");
        }
        for other in ["", " ", "x y", "x:y", "x\ny", "x/y", "\u{e9}", "\""] {
            assert!(!is_token(other), "{other:?}");
        }
        assert!(!is_token(b"\xff"));
    }
}

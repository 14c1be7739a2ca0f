//! Whether the store's announcements are heard.
//!
//! A store may answer every call and refuse whoever wants to listen: then bans of other machines do
//! not hold here, and no call that fails tells of it. While the store is away, that is told anyway
//! and this is not.

/// So often in a row nobody could listen to a store that is there. By then a restart of it is over,
/// or the breaker is open.
const FAILURES: u32 = 6;

#[derive(Debug, Default)]
pub(super) struct Hearing {
    failures: u32,
    error: Option<String>,
}

impl Hearing {
    /// Nobody listens, or nobody does any more.
    pub(super) fn failed(&mut self, is_there: bool, error: String) {
        self.failures = if is_there {
            self.failures.saturating_add(1)
        } else {
            0
        };
        self.error = Some(error);
    }

    /// Somebody has listened for long enough to be believed.
    pub(super) fn works(&mut self) {
        *self = Self::default();
    }

    /// Why nothing is heard.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.error.as_deref().filter(|_| self.failures >= FAILURES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_failures_in_a_row_while_the_tier_is_there_are_trouble() {
        let mut hearing = Hearing::default();
        let fail = |hearing: &mut Hearing, is_there| hearing.failed(is_there, "no".to_owned());
        for _ in 0..5 {
            fail(&mut hearing, true);
            assert_eq!(hearing.trouble(), None);
        }
        fail(&mut hearing, true);
        assert_eq!(hearing.trouble(), Some("no"));
        fail(&mut hearing, false);
        assert_eq!(hearing.trouble(), None, "it is away, which is told");
        for _ in 0..6 {
            fail(&mut hearing, true);
        }
        assert_eq!(hearing.trouble(), Some("no"));
        hearing.works();
        assert_eq!(hearing.trouble(), None);
        fail(&mut hearing, true);
        assert_eq!(hearing.trouble(), None);
    }
}

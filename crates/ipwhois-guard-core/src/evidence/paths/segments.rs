//! A request's path, read once from left to right, as forgiving as the servers that scanners hope
//! for.

/// The segments of a path, those that say nothing included.
#[derive(Clone, Copy, Debug)]
pub(in crate::evidence) struct Segments<'p> {
    /// `None` after the last one.
    rest: Option<&'p [u8]>,
}

/// What stands between two slashes.
#[derive(Clone, Debug)]
pub(in crate::evidence) struct Segment<'p> {
    /// As it is written, without parameters.
    name: &'p [u8],
    /// Of the name as it is meant.
    hash: u32,
    /// What stands after the last dot of the name, as it is written.
    extension: Option<&'p [u8]>,
    has_mark: bool,
    /// The path after the segment.
    after: Segments<'p>,
}

impl<'p> Segments<'p> {
    pub(in crate::evidence) fn new(path: &'p str) -> Self {
        Self {
            rest: Some(path.strip_prefix('/').unwrap_or(path).as_bytes()),
        }
    }
}

impl<'p> Iterator for Segments<'p> {
    type Item = Segment<'p>;

    #[inline]
    fn next(&mut self) -> Option<Segment<'p>> {
        let whole = self.rest?;
        let offset = |rest: &[u8]| whole.len().saturating_sub(rest.len());
        let mut rest = whole;
        let mut hash = EMPTY_HASH;
        let mut extension = None;
        let mut has_mark = false;
        let (end, after) = loop {
            let mut bytes = rest.iter();
            let special = hash_plain(&mut hash, &mut bytes);
            let tail = bytes.as_slice();
            let at = offset(tail).saturating_sub(1);
            let (byte, tail) = match special {
                None => break (whole.len(), None),
                Some(b'?' | b'#') => break (at, None),
                Some(b'%') => unescape(tail),
                Some(byte) => (byte, tail),
            };
            match byte {
                b'/' | b'\\' => break (at, Some(tail)),
                b'.' => extension = Some(offset(tail)),
                // An escaped `?` is a query that somebody has escaped with the rest.
                b';' | b'?' => {
                    let after = after_parameters(tail, &mut has_mark);
                    break (at, after);
                }
                byte => has_mark |= begins_mark(byte, tail),
            }
            hash = mix(hash, byte.to_ascii_lowercase());
            rest = tail;
        };
        let name = whole.get(..end).unwrap_or_default();
        self.rest = after;
        Some(Segment {
            name,
            hash,
            extension: extension.and_then(|at| name.get(at..)),
            has_mark,
            after: *self,
        })
    }
}

impl<'p> Segment<'p> {
    /// Whether it climbs out of where it stands, or holds what only an attacker writes.
    #[inline]
    pub(in crate::evidence) fn has_mark(&self) -> bool {
        self.has_mark || self.ends_with_dot() && self.is(b"..")
    }

    /// Whether it makes no difference: it is empty or `.`.
    #[inline]
    pub(in crate::evidence) fn is_nothing(&self) -> bool {
        self.name.is_empty() || self.ends_with_dot() && self.is(b".")
    }

    fn ends_with_dot(&self) -> bool {
        self.extension == Some(&[])
    }

    pub(in crate::evidence) const fn hash(&self) -> u32 {
        self.hash
    }

    /// The first letter, or 0.
    pub(in crate::evidence) fn initial(&self) -> u8 {
        self.letters().next().unwrap_or_default()
    }

    pub(in crate::evidence) fn letters(&self) -> Letters<'p> {
        Letters(self.name)
    }

    /// The hash of what stands after the last dot.
    pub(in crate::evidence) fn extension_hash(&self) -> Option<u32> {
        self.extension.map(|extension| {
            let mut hash = EMPTY_HASH;
            match hash_plain(&mut hash, &mut extension.iter()) {
                None => hash,
                Some(_) => hash_of(Letters(extension)),
            }
        })
    }

    /// Whether the name is this, which is in lower case.
    pub(in crate::evidence) fn is(&self, name: &[u8]) -> bool {
        self.letters().eq(name.iter().copied())
    }

    pub(in crate::evidence) fn starts_with(&self, beginning: &[u8]) -> bool {
        starts_with(self.name, beginning)
    }

    pub(in crate::evidence) fn ends_with(&self, end: &[u8]) -> bool {
        let length = self.letters().count();
        length
            .checked_sub(end.len())
            .is_some_and(|skipped| self.letters().skip(skipped).eq(end.iter().copied()))
    }

    /// The segments after this one.
    pub(in crate::evidence) const fn after(&self) -> Segments<'p> {
        self.after
    }
}

/// Letters as they are meant: percent escapes decoded once, in lower case.
#[derive(Clone, Copy, Debug)]
pub(in crate::evidence) struct Letters<'p>(&'p [u8]);

impl<'p> Letters<'p> {
    pub(in crate::evidence) const fn of(text: &'p str) -> Self {
        Self(text.as_bytes())
    }
}

impl Iterator for Letters<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (&byte, tail) = self.0.split_first()?;
        let (byte, tail) = match byte {
            b'%' => unescape(tail),
            byte => (byte, tail),
        };
        self.0 = tail;
        Some(byte.to_ascii_lowercase())
    }
}

/// What follows a segment's parameters, which say nothing unless they hold a mark.
#[cold]
fn after_parameters<'p>(mut rest: &'p [u8], has_mark: &mut bool) -> Option<&'p [u8]> {
    loop {
        let (&byte, tail) = rest.split_first()?;
        let (byte, tail) = match byte {
            b'?' | b'#' => return None,
            b'%' => unescape(tail),
            byte => (byte, tail),
        };
        if matches!(byte, b'/' | b'\\') {
            return Some(tail);
        }
        *has_mark |= begins_mark(byte, tail);
        rest = tail;
    }
}

/// The byte that an escape stands for, and the rest, given what follows its `%`. Without two digits
/// `%` stands for itself.
fn unescape(after_percent: &[u8]) -> (u8, &[u8]) {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if let [high, low, rest @ ..] = after_percent
        && let (Some(high), Some(low)) = (digit(*high), digit(*low))
    {
        return ((high << 4 | low) as u8, rest);
    }
    (b'%', after_percent)
}

fn starts_with(bytes: &[u8], beginning: &[u8]) -> bool {
    let mut letters = Letters(bytes);
    beginning
        .iter()
        .all(|&wanted| letters.next() == Some(wanted))
}

/// Whether a byte, decoded, and what follows it are what only an attacker writes.
fn begins_mark(byte: u8, tail: &[u8]) -> bool {
    match byte {
        0 => true,
        b'<' => starts_with(tail, b"script"),
        // Whoever hides the word `jndi` nests one expression into the other.
        b'$' => starts_with(tail, b"{jndi") || starts_with(tail, b"{${"),
        // A dot that is escaped twice. Nobody who escapes what has to be escaped does it even once.
        b'%' => starts_with(tail, b"2e"),
        // A dot or a slash in more bytes than UTF-8 allows.
        0xc0 => starts_with(tail, b"\xae") || starts_with(tail, b"\xaf"),
        _ => false,
    }
}

/// The byte in lower case, or 0 when it needs a second look.
static PLAIN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte: u8 = 255;
    while byte > 0 {
        table[byte as usize] = match byte {
            b'/' | b'\\' | b'.' | b'%' | b'?' | b'#' | b';' | b'<' | b'$' | 0xc0 => 0,
            byte => byte.to_ascii_lowercase(),
        };
        byte -= 1;
    }
    table
};

/// FNV-1a. Nobody gains anything by a collision: names are compared after it.
const EMPTY_HASH: u32 = 0x811c_9dc5;

const fn mix(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

/// Most of a path are letters, and this loop is all that they cost. Returns the first byte that
/// needs a second look.
#[inline(always)]
fn hash_plain(hash: &mut u32, bytes: &mut std::slice::Iter<'_, u8>) -> Option<u8> {
    for &byte in bytes {
        match PLAIN[byte as usize] {
            0 => return Some(byte),
            plain => *hash = mix(*hash, plain),
        }
    }
    None
}

pub(in crate::evidence) fn hash_of(letters: impl Iterator<Item = u8>) -> u32 {
    letters.fold(EMPTY_HASH, mix)
}

//! Paths, segment by segment, in every way a framework or a proxy could read them.
//!
//! Frameworks differ: one decodes percent escapes in the whole path, another only inside of
//! segments, a third not at all; some collapse `//`; proxies resolve `.` and `..`. A rule has to
//! hold for all of them, so a request's path has several readings. All of them are walked in place,
//! without building the path they stand for.

use crate::shown::path_slip;

/// A rule's path, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    segments: Vec<Vec<u8>>,
    /// The segments with a slash before each, if plain paths can be below them.
    plain: Option<Vec<u8>>,
}

impl Prefix {
    /// Reads a rule's path, or says what is wrong with it as the rest of the sentence "`…`".
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let refuse = |reason: &str| Err(reason.to_owned());
        if !text.starts_with('/') {
            return refuse("must begin with `/`");
        }
        if text.contains(['*', '{', '}', '<', '>']) {
            return refuse(
                "looks like a pattern, and rules are path prefixes: `/users` covers `/users/{id}` already",
            );
        }
        if text.contains(['?', '#']) {
            return refuse("has a query or fragment, and rules are about paths");
        }
        if text.chars().any(char::is_control) || Decoded(text.as_bytes()).any(is_control) {
            return refuse("contains a control character");
        }
        if let Some(reason) = path_slip(text) {
            return Err(reason);
        }
        let decoded: Vec<u8> = Decoded(text.as_bytes()).collect();
        let segments: Vec<Vec<u8>> = decoded
            .split(|&byte| byte == b'/')
            .filter(|segment| !segment.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        if segments
            .iter()
            .any(|segment| matches!(segment.as_slice(), b"." | b".."))
        {
            return refuse("contains a `.` or `..` segment");
        }
        let joined = segments.iter().fold(Vec::new(), |mut joined, segment| {
            joined.push(b'/');
            joined.extend(segment);
            joined
        });
        Ok(Self {
            plain: is_plain(&joined).then_some(joined),
            segments,
        })
    }

    /// Whether this prefix covers all that another one covers.
    pub(super) fn contains(&self, other: &Self) -> bool {
        other.segments.starts_with(&self.segments)
    }

    /// Whether the path is the prefix or below it however it is read, by proxies that take `\`
    /// for a slash or `;` for the end of a segment as well.
    pub(super) fn is_surely(&self, path: &[u8]) -> bool {
        let is_read_one_way = |byte: &u8| byte.is_ascii_graphic() && !b"\\;".contains(byte);
        self.rest_of(path).is_some() && is_plain(path) && path.iter().all(is_read_one_way)
    }

    /// How many segments: the more, the more specific.
    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    /// What follows the prefix in a path, as it is written. `None` when the prefix is not plain, or
    /// the path not below it.
    #[inline]
    pub(super) fn rest_of<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let rest = path.strip_prefix(self.plain.as_deref()?)?;
        matches!(rest, [] | [b'/', ..]).then_some(rest)
    }

    /// Whether a path with these segments is the prefix or below it.
    pub(super) fn starts(&self, mut segments: Segments<'_>) -> bool {
        self.segments
            .iter()
            .all(|wanted| segments.next().is_some_and(|segment| segment.is(wanted)))
    }

    /// The same, after `.` and `..` have done their work.
    pub(super) fn starts_resolved(&self, segments: Segments<'_>) -> bool {
        // Of the path resolved so far only two numbers matter: its length, and how much of the
        // prefix it begins with.
        let mut depth: usize = 0;
        let mut matched: usize = 0;
        for segment in segments {
            if segment.is(b".") {
                continue;
            }
            if segment.is(b"..") {
                depth = depth.saturating_sub(1);
                matched = matched.min(depth);
                continue;
            }
            if matched == depth
                && self
                    .segments
                    .get(depth)
                    .is_some_and(|wanted| segment.is(wanted))
            {
                matched = matched.saturating_add(1);
            }
            depth = depth.saturating_add(1);
        }
        matched == self.segments.len()
    }

    /// Whether the prefix's segments occur in this order, with anything before, between and after
    /// them.
    ///
    /// However dot segments are resolved, what is left of a path is some of its segments in their
    /// order. So this holds whenever any way to resolve them leads below the prefix.
    pub(super) fn occurs_in_order(&self, mut segments: Segments<'_>) -> bool {
        self.segments
            .iter()
            .all(|wanted| segments.any(|segment| segment.is(wanted)))
    }
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control()
}

/// Whether every way to read a path takes it for the same one, seen at a glance: a path with a
/// query never counts as plain. What is left of a path after a plain beginning can be asked about
/// alone.
#[inline]
pub(super) fn is_plain(path: &[u8]) -> bool {
    let ([b'/', after @ ..] | after @ []) = path else {
        return false;
    };
    path.iter().zip(after).all(|pair| match pair {
        // Most of a path are letters: one comparison is enough for them.
        (_, b'@'..) => true,
        (_, b'%' | b'?' | b'#') | (b'/', b'/' | b'.') => false,
        _ => true,
    })
}

/// A request's path without its query, and how plainly it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestPath<'a> {
    /// Without the slash that it begins with.
    bytes: &'a [u8],
    has_escape: bool,
    has_double_slash: bool,
    has_leading_dot: bool,
}

impl<'a> RequestPath<'a> {
    pub(super) fn new(path: &'a [u8]) -> Self {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let mut this = Self {
            bytes: path,
            has_escape: false,
            has_double_slash: false,
            has_leading_dot: false,
        };
        let mut after_slash = true;
        for (at, &byte) in path.iter().enumerate() {
            // Most of a path are letters: one comparison is enough for them.
            if byte > b'?' {
                after_slash = false;
                continue;
            }
            match byte {
                b'?' | b'#' => {
                    this.bytes = path.get(..at).unwrap_or_default();
                    break;
                }
                b'%' => this.has_escape = true,
                b'/' => this.has_double_slash |= after_slash,
                b'.' => this.has_leading_dot |= after_slash,
                _ => {}
            }
            after_slash = byte == b'/';
        }
        this
    }

    /// The spellings in which this path can differ.
    pub(super) const fn spellings(&self) -> &'static [Spelling] {
        if self.has_escape {
            &[Spelling::Raw, Spelling::InSegments, Spelling::Whole]
        } else {
            &[Spelling::Raw]
        }
    }

    pub(super) const fn segments(&self, spelling: Spelling) -> Segments<'a> {
        Segments {
            rest: Some(self.bytes),
            spelling,
        }
    }

    /// Whether two separators, escaped ones too, stand next to each other.
    pub(super) fn has_empty_segment(&self) -> bool {
        let mut rest = Some(self.bytes);
        while self.has_escape
            && let Some(bytes) = rest
        {
            let (segment, after) = split_first(bytes, Spelling::Whole);
            if segment.is_empty() && after.is_some() {
                return true;
            }
            rest = after;
        }
        self.has_double_slash
    }

    /// What dot segments, escaped ones too, make of the path.
    pub(super) fn dots(&self) -> Dots {
        let may_have_dots = self.has_leading_dot || self.has_escape;
        let is_dots = |segment: Segment<'_>| segment.is(b".") || segment.is(b"..");
        if !may_have_dots || !self.segments(Spelling::Whole).any(is_dots) {
            Dots::None
        } else if self.has_escape || self.has_double_slash {
            Dots::Tangled
        } else {
            Dots::Plain
        }
    }
}

/// The dot segments of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dots {
    /// There are none.
    None,
    /// Whoever resolves them comes to the same path.
    Plain,
    /// There are escapes or empty segments as well. What `..` climbs out of depends on what was
    /// decoded or collapsed before: `/a%2Fb/%2e%2e/admin` is `/a/admin` for one reader and `/admin`
    /// for another.
    Tangled,
}

/// How percent escapes are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As they stand.
    Raw,
    /// Decoded once after the path was split: `%2F` is a character like any other.
    InSegments,
    /// Decoded once before the path is split: `%2F` separates.
    Whole,
}

/// The segments of a path in one spelling, without empty ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segments<'a> {
    rest: Option<&'a [u8]>,
    spelling: Spelling,
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        loop {
            let (bytes, rest) = split_first(self.rest?, self.spelling);
            self.rest = rest;
            if !bytes.is_empty() {
                return Some(Segment {
                    bytes,
                    spelling: self.spelling,
                });
            }
        }
    }
}

/// The bytes up to the first separator, and those after it.
fn split_first(bytes: &[u8], spelling: Spelling) -> (&[u8], Option<&[u8]>) {
    let mut rest = bytes;
    loop {
        let (separates, after) = match rest {
            [] => return (bytes, None),
            [b'/', after @ ..] => (true, after),
            [b'%', b'2', b'F' | b'f', after @ ..] => (spelling == Spelling::Whole, after),
            [_, after @ ..] => (false, after),
        };
        if separates {
            let end = bytes.len().saturating_sub(rest.len());
            return (bytes.get(..end).unwrap_or_default(), Some(after));
        }
        rest = after;
    }
}

/// One segment, decoded only while it is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    bytes: &'a [u8],
    spelling: Spelling,
}

impl Segment<'_> {
    fn is(self, wanted: &[u8]) -> bool {
        match self.spelling {
            Spelling::Raw => self.bytes == wanted,
            Spelling::InSegments | Spelling::Whole => {
                Decoded(self.bytes).eq(wanted.iter().copied())
            }
        }
    }
}

/// Percent-decodes once. What is no escape (`%zz`, `%` at the end) stays as it is.
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let [b'%', high, low, rest @ ..] = self.0
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.0 = rest;
            return Some((high << 4) | low);
        }
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

//! What a path is held against, found by hash: an ordinary segment costs one look or two, however
//! long the list is.

use crate::shown::path_slip;

use super::segments::{Letters, Segment, Segments, hash_of};

/// One entry of a list, in lower case.
#[derive(Debug)]
pub(in crate::evidence) enum Pattern {
    /// These segments one after the other, and what is below them.
    Path {
        segments: Vec<Vec<u8>>,
        only_at_root: bool,
    },
    /// A segment that begins so, anywhere.
    Beginning(Vec<u8>),
    /// A segment that ends so, anywhere, dot included.
    End(Vec<u8>),
}

impl Pattern {
    /// Reads an entry of the built-in list.
    pub(in crate::evidence) fn built_in(text: &str) -> Self {
        if let Some(extension) = text.strip_prefix('*') {
            Self::End(lower_case(extension))
        } else if let Some(beginning) = text.strip_suffix('*') {
            Self::Beginning(lower_case(beginning))
        } else {
            Self::path(text)
        }
    }

    /// Reads an entry of the settings, or says what is wrong with it as the rest of the sentence
    /// "`…`".
    pub(in crate::evidence) fn parse(text: &str) -> Result<Self, String> {
        let pattern = Self::read(text).map_err(str::to_owned)?;
        path_slip(text).map_or(Ok(pattern), Err)
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err(
                "is empty: an entry is a path such as `/wp-admin` or an extension such as `*.php`",
            );
        }
        if text.chars().any(char::is_control)
            || Letters::of(text).any(|byte| byte.is_ascii_control())
        {
            return Err("contains a control character");
        }
        if Letters::of(text).any(|byte| b"?#;".contains(&byte)) {
            return Err(
                "has a query, fragment or parameter, and paths are told apart without them",
            );
        }
        if let Some(extension) = text.strip_prefix('*') {
            return Self::parse_extension(extension);
        }
        if !text.starts_with('/') {
            return Err("must begin with `/`, or be an extension such as `*.php`");
        }
        if text.contains('*') {
            return Err(
                "has a `*` where none can be: a path covers what is below it already, and an extension is written `*.php`",
            );
        }
        if Segments::new(text).any(|segment| segment.has_mark()) {
            return Err("climbs with `..` or holds a mark of an attack, and those always count");
        }
        Ok(Self::path(text))
    }

    /// Reads what stands after the `*`.
    fn parse_extension(text: &str) -> Result<Self, &'static str> {
        let is_extension = text.len() > 1
            && text.starts_with('.')
            && !text.ends_with('.')
            && !text.contains("..")
            && !text.contains(['*', '/', '\\', '%']);
        if is_extension {
            Ok(Self::End(lower_case(text)))
        } else {
            Err("is no extension: one is written `*.php`")
        }
    }

    fn path(text: &str) -> Self {
        Self::Path {
            segments: Segments::new(text)
                .filter(|segment| !segment.is_nothing())
                .map(|segment| segment.letters().collect())
                .collect(),
            only_at_root: text.starts_with('/'),
        }
    }

    /// Whether every path is below it.
    pub(in crate::evidence) fn is_everything(&self) -> bool {
        matches!(self, Self::Path { segments, .. } if segments.is_empty())
    }
}

fn lower_case(text: &str) -> Vec<u8> {
    text.to_ascii_lowercase().into_bytes()
}

/// A list of patterns.
#[derive(Debug)]
pub(in crate::evidence) struct Patterns {
    everything: bool,
    /// By the hash of their first segment.
    paths: Buckets<Path>,
    /// By their first letter.
    beginnings: Buckets<Vec<u8>>,
    /// By the hash of what stands after their last dot.
    ends: Buckets<Vec<u8>>,
}

#[derive(Debug)]
struct Path {
    first: Vec<u8>,
    others: Vec<Vec<u8>>,
    only_at_root: bool,
}

impl Patterns {
    pub(in crate::evidence) fn new(patterns: Vec<Pattern>) -> Self {
        let everything = patterns.iter().any(Pattern::is_everything);
        let (mut paths, mut beginnings, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for pattern in patterns {
            match pattern {
                Pattern::Path {
                    segments,
                    only_at_root,
                } => {
                    let mut segments = segments.into_iter();
                    if let Some(first) = segments.next() {
                        let path = Path {
                            others: segments.collect(),
                            only_at_root,
                            first,
                        };
                        paths.push((hash_of(path.first.iter().copied()), path));
                    }
                }
                Pattern::Beginning(beginning) => {
                    let initial = beginning.first().copied().unwrap_or_default();
                    beginnings.push((u32::from(initial), beginning));
                }
                Pattern::End(end) => {
                    let extension = end.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
                    ends.push((hash_of(extension.iter().copied()), end));
                }
            }
        }
        Self {
            everything,
            paths: Buckets::new(paths),
            beginnings: Buckets::new(beginnings),
            ends: Buckets::new(ends),
        }
    }

    /// Whether one of them covers this path.
    pub(in crate::evidence) fn cover(&self, path: &str) -> bool {
        let mut segments = Segments::new(path).filter(|segment| !segment.is_nothing());
        let first = segments.next();
        self.everything
            || first.is_some_and(|first| self.cover_segment(&first, true))
            || segments.any(|segment| self.cover_segment(&segment, false))
    }

    /// Whether one of them covers the paths that have this segment, `is_first` or not, and what is
    /// after it.
    pub(in crate::evidence) fn cover_segment(&self, segment: &Segment<'_>, is_first: bool) -> bool {
        self.paths
            .any(segment.hash(), |path| path.covers(segment, is_first))
            || segment
                .extension_hash()
                .is_some_and(|hash| self.ends.any(hash, |end| segment.ends_with(end)))
            || self.beginnings.any(segment.initial().into(), |beginning| {
                segment.starts_with(beginning)
            })
    }
}

impl Path {
    fn covers(&self, segment: &Segment<'_>, is_first: bool) -> bool {
        let mut after = segment.after().filter(|segment| !segment.is_nothing());
        (is_first || !self.only_at_root)
            && segment.is(&self.first)
            && self
                .others
                .iter()
                .all(|other| after.next().is_some_and(|segment| segment.is(other)))
    }
}

/// Items by number.
#[derive(Debug)]
struct Buckets<T> {
    /// Where each bucket begins among the items, and where the last one ends.
    starts: Vec<u32>,
    items: Vec<(u32, T)>,
    mask: u32,
}

impl<T> Buckets<T> {
    fn new(mut items: Vec<(u32, T)>) -> Self {
        // Four to an item: most of what is looked for is not there, and an empty bucket says so at
        // once.
        let count = items.len().saturating_mul(4).next_power_of_two();
        let mask = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
        items.sort_by_key(|(number, _)| bucket_of(*number, mask));
        let starts = (0..=mask.saturating_add(1))
            .map(|bucket| items.partition_point(|(number, _)| bucket_of(*number, mask) < bucket))
            .map(|start| u32::try_from(start).unwrap_or(u32::MAX))
            .collect();
        Self {
            starts,
            items,
            mask,
        }
    }

    /// Whether an item with this number passes.
    fn any(&self, number: u32, passes: impl Fn(&T) -> bool) -> bool {
        let bucket = bucket_of(number, self.mask) as usize;
        match self.starts.get(bucket..bucket.saturating_add(2)) {
            Some(&[start, end]) if start < end => self
                .items
                .get(start as usize..end as usize)
                .unwrap_or_default()
                .iter()
                .any(|(its, item)| *its == number && passes(item)),
            _ => false,
        }
    }
}

/// The upper half of the hash is the better one.
const fn bucket_of(number: u32, mask: u32) -> u32 {
    (number >> 16 ^ number) & mask
}

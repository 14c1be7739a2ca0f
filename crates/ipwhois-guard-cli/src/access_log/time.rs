//! Times like `17/May/2015:10:05:03 +0000`, and the UTC days they fall in.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use super::line::Malformed;

/// How long the text is.
pub(super) const LENGTH: usize = "17/May/2015:10:05:03 +0000".len();

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Seconds since 1970-01-01 00:00:00 UTC.
pub(super) fn parse(text: &[u8]) -> Result<u64, Malformed> {
    let seconds = seconds(text).ok_or(Malformed::BadTime)?;
    u64::try_from(seconds).map_err(|_| Malformed::TooEarly)
}

fn seconds(text: &[u8]) -> Option<i64> {
    // By position: the generic parser of the time library takes longer than everything else that is
    // done with a line.
    let is_shaped = text.len() == LENGTH
        && [
            (2, b'/'),
            (6, b'/'),
            (11, b':'),
            (14, b':'),
            (17, b':'),
            (20, b' '),
        ]
        .iter()
        .all(|&(at, byte)| text[at] == byte);
    if !is_shaped {
        return None;
    }
    let month = MONTHS.iter().position(|name| name[..] == text[3..6])?;
    // A leap second counts as the one before it.
    let second = number(&text[18..20])?.min(59);
    let local = DateTime::new(
        i16::try_from(number(&text[7..11])?).ok()?,
        i8::try_from(month).ok()? + 1,
        i8::try_from(number(&text[0..2])?).ok()?,
        i8::try_from(number(&text[12..14])?).ok()?,
        i8::try_from(number(&text[15..17])?).ok()?,
        i8::try_from(second).ok()?,
        0,
    );
    let (hours, minutes) = (number(&text[22..24])?, number(&text[24..26])?);
    if minutes > 59 || number(&text[18..20])? > 60 {
        return None;
    }
    let east = (hours * 60 + minutes) * 60;
    let offset = match text[21] {
        b'+' => east,
        b'-' => -east,
        _ => return None,
    };
    let offset = Offset::from_seconds(offset).ok()?;
    Some(offset.to_timestamp(local.ok()?).ok()?.as_second())
}

fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i32::from(digit - b'0'))
    })
}

/// The time as a log shows it, in UTC. Times past the year 9999 are shown as the last moment
/// before.
#[must_use]
pub fn timestamp(time: u64) -> String {
    let at = utc(time);
    let month = usize::try_from(at.month() - 1).unwrap_or_default();
    let name = str::from_utf8(MONTHS[month]).unwrap_or_default();
    format!(
        "{:02}/{name}/{:04}:{:02}:{:02}:{:02} +0000",
        at.day(),
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// The UTC day of a time.
#[must_use]
pub fn day_of(time: u64) -> Date {
    utc(time).date()
}

fn utc(time: u64) -> DateTime {
    let time = i64::try_from(time)
        .ok()
        .and_then(|time| Timestamp::from_second(time).ok())
        .unwrap_or(Timestamp::MAX);
    Offset::UTC.to_datetime(time)
}

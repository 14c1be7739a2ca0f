//! How the day's allowance is spread over the day.

/// Seconds in a UTC day.
pub(super) const DAY: u64 = 24 * 60 * 60;

/// How far a client's first request may run ahead of the day, in seconds; and how much each doubling of its requests adds.
const FIRST_LEAD: u64 = 30 * 60;
const LEAD_A_DOUBLING: u64 = 2_250;
/// Sixteen requests and more: three hours.
const DOUBLINGS: u32 = 4;

/// From so many requests on a client leads as far as any.
pub(crate) const FREQUENT: u32 = 1 << DOUBLINGS;

/// Refreshes leave strangers half of what is due by now.
const REFRESH_PART: (u64, u64) = (1, 2);

/// What is kept for urgent checks: a tenth, rounded up.
pub(super) const fn reserve(limit: u32) -> u32 {
    limit.div_ceil(10)
}

/// What elevated checks leave to urgent ones: half of that, rounded up.
pub(super) const fn last_reserve(limit: u32) -> u32 {
    reserve(limit).div_ceil(2)
}

/// Whether the day has come to where all that is left may be used.
pub(super) const fn is_last(second: u64) -> bool {
    second + FIRST_LEAD >= DAY
}

/// What routine checks leave to elevated ones at this second of the day, `watched` seconds of which were seen, with so many
/// elevated checks in them: half as many again as the rest of the day will bring if it goes on like that. Some hours have
/// to pass before they tell; until then it is half of what is due in the rest, fading. Nothing is left in the end.
pub(super) fn left_to_elevated(elevated: u32, room: u32, watched: u64, second: u64) -> u32 {
    const TELLING: u64 = 6 * 60 * 60;
    if is_last(second) {
        return 0;
    }
    let rest = DAY.saturating_sub(second);
    let like_so_far = u64::from(elevated) * rest * 3 / (2 * watched.max(TELLING));
    let untold = TELLING.saturating_sub(watched);
    let to_begin_with = u64::from(room) / 2 * rest / DAY * untold / TELLING;
    let expected = like_so_far.max(to_begin_with);
    u32::try_from(expected).unwrap_or(u32::MAX).min(room)
}

/// Whether so many strangers within so many seconds are more than twice what the day can bear. A burst makes no shortage
/// before it has used up the longest lead.
pub(super) fn is_short(strangers: u32, room: u32, seconds: u64) -> bool {
    let longest = FIRST_LEAD + LEAD_A_DOUBLING * u64::from(DOUBLINGS);
    u64::from(strangers) * DAY > 2 * u64::from(room) * (seconds + longest)
}

/// Whether a client nobody suspects may be checked `second` seconds into the day, when `spent` of `room` is gone.
pub(super) fn is_due(spent: u32, room: u32, requests: u32, second: u64, short: bool) -> bool {
    let doublings = requests.max(1).ilog2().min(DOUBLINGS);
    let lead = FIRST_LEAD + LEAD_A_DOUBLING * u64::from(doublings);
    // No lead takes more than half of what is left of the day: the evening belongs to others too.
    let rest = DAY.saturating_sub(second);
    let lead = lead.min((rest / 2).max(FIRST_LEAD));
    let until = (second + lead).min(DAY);
    // In a shortage strangers wait for the evening: what nobody needed more is theirs then.
    let until = if short && requests < FREQUENT {
        until * until / DAY
    } else {
        until
    };
    u64::from(spent) * DAY < line(room, until)
}

/// Whether a stale verdict may be refreshed.
pub(super) fn refresh_is_due(spent: u32, room: u32, second: u64) -> bool {
    let (part, whole) = REFRESH_PART;
    u64::from(spent) * DAY < line(room, second + FIRST_LEAD) / whole * part
}

/// What may be gone at this second, in checks times the seconds of a day: whole numbers, so no limit is too large.
fn line(room: u32, second: u64) -> u64 {
    u64::from(room) * second.min(DAY)
}

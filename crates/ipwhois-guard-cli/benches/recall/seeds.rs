//! Which logs are made up.

/// The first and the last seed.
pub(crate) fn read(arguments: &[String]) -> Result<(u64, u64), String> {
    let seed = |text: &String| {
        let number = text.parse::<u64>();
        number.map_err(|_| format!("`{text}` is no seed: name the first and the last one"))
    };
    match arguments {
        [] => Ok((301, 400)),
        [first, last] => match (seed(first)?, seed(last)?) {
            (first, last) if first > last => Err(format!(
                "the last seed, {last}, is before the first, {first}"
            )),
            seeds => Ok(seeds),
        },
        _ => {
            let count = arguments.len();
            Err(format!(
                "name the first and the last seed, not {count} words"
            ))
        }
    }
}

//! What the measurement of the recall takes: `cargo bench --bench recall`.

#[path = "../../benches/recall/seeds.rs"]
mod seeds;

#[track_caller]
fn check(arguments: &[&str], expected: Result<(u64, u64), &str>) {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    match (seeds::read(&arguments), expected) {
        (Err(sentence), Err(words)) => assert!(sentence.contains(words), "{sentence}"),
        (found, expected) => assert_eq!(found, expected.map_err(str::to_owned)),
    }
}

#[test]
fn the_seeds_of_a_measurement_are_two_numbers_or_it_says_what_they_are_instead() {
    check(&[], Ok((301, 400)));
    check(&["7", "7"], Ok((7, 7)));
    check(&["many", "7"], Err("`many` is no seed"));
    check(&["1", "-7"], Err("`-7` is no seed"));
    check(&["9", "7"], Err("the last seed, 7, is before the first, 9"));
    check(&["7"], Err("not 1 words"));
    check(&["1", "2", "3"], Err("not 3 words"));
}

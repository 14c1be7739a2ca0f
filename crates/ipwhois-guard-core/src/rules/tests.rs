use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const DEFAULTS: Policy = Policy::new(90, Mode::Enforce, OnUnverified::Allow);

fn rules(rules: &[Rule]) -> RuleSet {
    RuleSet::new(rules, &[], DEFAULTS).unwrap()
}

#[track_caller]
fn check(rule: &str, path: &str, covered: bool) {
    let policy = rules(&[rule.into()]).policy("GET", path);
    assert_eq!(policy.is_some(), covered, "rule {rule}, path {path}");
}

/// Marks rules by their minimum confidence: which of them is picked?
#[track_caller]
fn check_pick(set: &[Rule], method: &str, path: &str, confidence: Option<u8>) {
    let policy = rules(set).policy(method, path);
    let picked = policy.map(|policy| policy.min_confidence);
    assert_eq!(picked, confidence, "{method} {path}");
}

#[track_caller]
fn check_refused(rule: Rule, value: &str, reason: &str) {
    let error = RuleSet::new(&[rule], &[], DEFAULTS)
        .unwrap_err()
        .to_string();
    let value = crate::shown::printable(value.as_bytes());
    let begin = format!("setting `protect`: `{value}` ");
    assert!(error.starts_with(&begin), "{error}");
    assert!(error.contains(reason), "{error}");
}

#[test]
fn without_rules_the_defaults_hold_for_every_request() {
    let set = rules(&[]);
    assert_eq!(set.policy("BREW", "//a/%2e%2e"), Some(DEFAULTS));
    assert_eq!(set.defaults(), DEFAULTS);
}

#[test]
fn a_rule_covers_its_path_and_what_is_below_it() {
    for path in [
        "/admin",
        "/admin/",
        "/admin/users/7",
        "/admin?x=/y",
        "/admin#x",
        "admin",
    ] {
        check("/admin", path, true);
        check("/admin/", path, true);
    }
    for path in ["/", "", "*", "/?/admin", "/#/admin", "/x/admin", "/Admin"] {
        check("/admin", path, false);
    }
}

#[test]
fn a_rule_covers_whole_segments_only() {
    for path in [
        "/administrator",
        "/admi",
        "/xadmin",
        "/admin.html",
        "/admin;x",
        "/admin%",
        "/admin%00",
    ] {
        check("/admin", path, false);
    }
    check("/a/b", "/a", false);
    check("/a/b", "/a/bc", false);
    check("/a/b", "/ab", false);
}

#[test]
fn the_root_covers_everything() {
    for path in ["/", "", "*", "/x", "//", "/%2e%2e", "/a/../.."] {
        check("/", path, true);
    }
}

#[test]
fn escapes_doubled_slashes_and_dots_do_not_evade_a_rule() {
    for path in [
        "/%61dmin",
        "/%61%64%6D%69%6e/users",
        "//admin",
        "/admin//",
        "/%2Fadmin",
        "/%2f%2Fadmin%2Fusers",
        "/./admin",
        "/%2e/admin",
        "/x/../admin",
        "/x/%2E%2e/admin",
        "/x%2f..%2fadmin",
        "/../admin",
        "/../../x/y/../../admin",
        "/admin/..",
        "/admin/../x",
        "./admin",
        "../admin",
    ] {
        check("/admin", path, true);
    }
}

#[test]
fn dots_that_mean_different_things_to_different_readers_do_not_evade_a_rule() {
    for path in [
        // `%2F` is data, the dots are dots.
        "/a%2Fb/%2e%2e/admin",
        // `..` climbs out of the empty segment.
        "/x/../admin//../y",
        // Escaped dots are data until the plain ones are resolved.
        "/q/../%61dmin/x/%2e%2e/..",
    ] {
        check("/admin", path, true);
        check("/administrator", path, false);
    }
}

#[test]
fn plain_dots_are_resolved_exactly() {
    check("/admin", "/x/admin/../y", false);
    check("/admin", "/x/../y/admin", false);
    check("/a/b", "/a/x/../b", true);
    check("/a/b", "/a/x/../../b", false);
    check("/a/b", "/x/../../a/./b/c", true);
    check("/a/b", "/a/../b", false);
    check("/a/b", "/x/./b/../b", false);
    check("/admin", "/x/..admin", false);
    check("/admin", "/x/.../admin", false);
}

#[test]
fn escapes_are_decoded_once() {
    check("/admin", "/%2561dmin", false);
    check("/a%2561", "/a%61", true);
    check("/a%2561", "/a%2561", true);
    check("/%zz", "/%zz", true);
    check("/%zz", "/%25zz", true);
    check("/100%", "/100%", true);
    check("/100%", "/100%25/x", true);
}

#[test]
fn a_rule_may_be_written_with_escapes_or_without() {
    for rule in [
        "/caf\u{e9}/my%20page",
        "/caf%C3%A9/my%20page",
        "/caf%c3%a9%2Fmy%20page",
    ] {
        check(rule, "/caf%c3%A9/my%20page/x", true);
        check(rule, "/caf\u{e9}//my page", true);
        check(rule, "/cafe/my%20page", false);
    }
}

#[test]
fn methods_are_compared_in_any_case_and_get_covers_head() {
    let set = [Rule::path("/login")
        .methods(["POST", "get"])
        .min_confidence(1)];
    for method in ["POST", "post", "GET", "HEAD", "head"] {
        check_pick(&set, method, "/login", Some(1));
    }
    for method in ["PUT", "", "POST "] {
        check_pick(&set, method, "/login", None);
    }
    let head = [Rule::path("/login").methods(["HEAD"])];
    check_pick(&head, "GET", "/login", None);
}

#[test]
fn the_longest_path_wins_then_a_method_then_the_first() {
    let set = [
        Rule::path("/").min_confidence(1),
        Rule::path("/a").min_confidence(2),
        Rule::path("/a").methods(["POST"]).min_confidence(4),
        Rule::path("/a").methods(["POST", "PUT"]).min_confidence(5),
        Rule::path("/a/b/").min_confidence(6),
    ];
    check_pick(&set, "GET", "/x", Some(1));
    check_pick(&set, "GET", "/a", Some(2));
    check_pick(&set, "POST", "/a/x", Some(4));
    check_pick(&set, "PUT", "/a/x", Some(5));
    check_pick(&set, "POST", "/a/b", Some(6));
    check_pick(&set, "POST", "/a/%62", Some(4));
}

#[test]
fn what_a_rule_leaves_open_is_taken_from_the_defaults() {
    let set = rules(&[
        Rule::path("/a").min_confidence(50),
        Rule::path("/b")
            .mode(Mode::Monitor)
            .on_unverified(OnUnverified::Deny),
    ]);
    let a = Policy::new(50, Mode::Enforce, OnUnverified::Allow);
    let b = Policy::new(90, Mode::Monitor, OnUnverified::Deny);
    assert_eq!(set.policy("GET", "/a"), Some(a));
    assert_eq!(set.policy("GET", "/b"), Some(b));
    assert_eq!(set.policy("GET", "/c"), None);
}

#[test]
fn an_unknown_client_meets_the_rules_word_then_the_settings_then_that_on_unverified() {
    use OnUnverified::{Allow, Deny};
    let unknown = |rule: Rule, said: Option<OnUnverified>| {
        let defaults = Policy {
            on_unknown_client: said,
            ..DEFAULTS
        };
        let set = RuleSet::new(&[rule], &[], defaults).unwrap();
        set.policy("GET", "/a").unwrap().on_unverified(false)
    };
    let rule = || Rule::path("/a");
    assert_eq!(unknown(rule(), None), Allow);
    assert_eq!(unknown(rule().on_unverified(Deny), None), Deny);
    assert_eq!(unknown(rule(), Some(Deny)), Deny);
    assert_eq!(unknown(rule().on_unverified(Deny), Some(Allow)), Allow);
    assert_eq!(unknown(rule().on_unknown_client(Allow), Some(Deny)), Allow);
    assert_eq!(unknown(rule().on_unknown_client(Deny), None), Deny);
    // A client that has an address is another matter.
    let policy = Policy {
        on_unknown_client: Some(Deny),
        ..DEFAULTS
    };
    assert_eq!(policy.on_unverified(true), Allow);
    let both = policy.stricter(Policy {
        on_unknown_client: Some(Allow),
        ..DEFAULTS
    });
    assert_eq!(
        (both.on_unverified(true), both.on_unverified(false)),
        (Allow, Deny)
    );
}

/// Everything is guarded but these.
fn exempting(exempt: &[&str]) -> RuleSet {
    let exempt: Vec<String> = exempt.iter().map(ToString::to_string).collect();
    RuleSet::new(&["/".into()], &exempt, DEFAULTS).unwrap()
}

#[test]
fn an_exempt_path_is_guarded_by_no_rule_and_without_rules_neither() {
    let without_rules = RuleSet::new(&[], &["/healthz".to_owned()], DEFAULTS).unwrap();
    for set in [exempting(&["/x", "/healthz"]), without_rules] {
        for path in ["/healthz", "/healthz/", "/healthz/live", "/healthz/a.b/c"] {
            assert_eq!(set.policy("GET", path), None, "{path}");
        }
        for path in ["/", "/health", "/healthzz", "/Healthz", "/a/healthz"] {
            assert_eq!(set.policy("GET", path), Some(DEFAULTS), "{path}");
        }
    }
}

#[test]
fn an_exemption_holds_only_where_all_readings_agree() {
    let set = exempting(&["/healthz"]);
    for path in [
        "/healthz/../admin",
        "/healthz/..",
        "/healthz/.",
        "/healthz/./live",
        "/healthz//admin",
        "//healthz",
        "/healthz/%2e%2e/admin",
        "/healthz%2F..%2Fadmin",
        "/healthz/%2E%2E%2Fadmin",
        "/healthz%2f",
        "/%68ealthz",
        "/healthz\\..\\admin",
        "/healthz/x\\..\\..\\admin",
        "/healthz;/../admin",
        "/healthz/..;/admin",
        "/healthz/x;y",
        "/healthz?/../admin",
        "/healthz#",
        "/healthz/%",
        "/healthz/\0",
        "/healthz/\u{ff0e}\u{ff0e}/admin",
        "/healthz /admin",
        "healthz",
        "",
    ] {
        assert_eq!(set.policy("GET", path), Some(DEFAULTS), "{path}");
    }
}

#[test]
fn a_path_that_cannot_be_exempt_is_refused() {
    for (path, reason) in [
        ("/", "`mode = off`"),
        ("//", "`mode = off`"),
        ("healthz", "must begin with `/`"),
        ("/healthz/*", "path prefixes"),
        ("/health%7A", "several ways"),
        ("/health%2Fz", "several ways"),
        ("//healthz", "several ways"),
        ("/.well-known", "several ways"),
        ("/caf\u{e9}", "several ways"),
        ("/healthz /livez", "is a list"),
        ("/healthz;x", "%3B"),
    ] {
        let error = RuleSet::new(&[], &[path.to_owned()], DEFAULTS).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with("setting `exempt`: "), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_rule_that_an_exemption_leaves_without_effect_is_refused() {
    let refused = |rule: &str, exempt: &str| {
        RuleSet::new(&[rule.into()], &[exempt.to_owned()], DEFAULTS).is_err()
    };
    assert!(refused("/a/b", "/a"));
    assert!(refused("/a/", "/a"));
    assert!(!refused("/a", "/a/b"));
    assert!(!refused("/ab", "/a"));
}

#[test]
fn a_rule_that_another_one_leaves_without_effect_is_refused() {
    let rule = |methods: &[&str], confidence| {
        let rule = Rule::path("/a").min_confidence(confidence);
        match methods {
            [] => rule,
            methods => rule.methods(methods.iter().copied()),
        }
    };
    let check = |rules: &[Rule], idle: bool| {
        let refused = RuleSet::new(rules, &[], DEFAULTS).is_err();
        assert_eq!(refused, idle, "{rules:?}");
    };
    check(&[rule(&[], 50), rule(&[], 60)], true);
    check(&[rule(&["GET"], 50), rule(&["HEAD"], 60)], true);
    check(
        &[
            rule(&["GET"], 50),
            rule(&["PUT"], 50),
            rule(&["PUT", "GET"], 60),
        ],
        true,
    );
    check(&[rule(&["GET"], 50), rule(&["PUT", "GET"], 60)], false);
    check(&[rule(&["GET"], 50), rule(&[], 60)], false);
    check(&[rule(&[], 50), rule(&["GET"], 60)], false);
    // Said twice, it has its effect.
    check(&[rule(&[], 50), rule(&[], 50)], false);
    check(&["/a/".into(), rule(&[], 60)], true);
    check(&["/a/b".into(), rule(&[], 60)], false);
}

#[test]
fn a_list_of_paths_in_one_text_is_refused() {
    for path in [
        "/admin /login",
        "/admin;/login",
        "/admin; /login",
        "/admin,/login",
        "/admin, /login",
        "/admin|/login",
        "/admin:/login",
    ] {
        check_refused(
            Rule::path(path),
            path,
            "is a list: separate paths by commas",
        );
    }
    for (path, reason) in [
        ("/ad min", "write %20"),
        (" /admin", "must begin with `/`"),
        ("/admin ", "write %20"),
        ("/admin;", "write %3B"),
        ("/admin/:id", "looks like a pattern"),
        ("/:tenant/admin", "looks like a pattern"),
        ("/users/[id]", "looks like a pattern"),
        ("/admin$", "looks like a pattern"),
        ("/admin\\d", "write %5C"),
        ("/admin'", "in quotes"),
        ("/$PREFIX/admin", "variable"),
        ("/${PREFIX}/admin", "path prefixes"),
    ] {
        check_refused(Rule::path(path), path, reason);
    }
    check_refused(Rule::path("/ad\u{200b}min"), "/ad\u{200b}min", "U+200B");
    // What is meant has a spelling.
    for (rule, path) in [
        ("/ad%20min", "/ad%20min"),
        ("/admin%3Bx", "/admin;x"),
        ("/%3Aid", "/:id"),
        ("/a:b", "/a:b"),
        ("/a,b", "/a,b"),
        ("/%24metadata", "/$metadata"),
    ] {
        check(rule, path, true);
    }
}

#[test]
fn an_ambiguous_path_gets_the_strictest_of_its_readings() {
    let strict = Rule::path("/admin")
        .min_confidence(95)
        .on_unverified(OnUnverified::Deny);
    let lenient = Rule::path("/admin/health")
        .min_confidence(80)
        .mode(Mode::Off);
    let set = rules(&[strict, lenient]);
    let health = Policy::new(80, Mode::Off, OnUnverified::Allow);
    let both = Policy::new(80, Mode::Enforce, OnUnverified::Deny);
    assert_eq!(set.policy("GET", "/admin/health"), Some(health));
    for path in [
        "/admin/%68ealth",
        "/admin//health",
        "/admin/./health",
        "/admin/x/../health",
        "/admin/health/..",
        "/admin%2Fhealth/../x",
        "/%61dmin/health%2F..",
        "//admin%2F%2Fhealth",
        "/admin%2F%2Fhealth",
        "/%61dmin/health%2Fx",
    ] {
        assert_eq!(set.policy("GET", path), Some(both), "{path}");
    }
    // All readings agree.
    assert_eq!(set.policy("GET", "/admin/health/a%20b"), Some(health));
    assert_eq!(set.policy("GET", "/admin/health/a%2Fb"), Some(health));
    assert_eq!(set.policy("GET", "/admin/health/a%20b/"), Some(health));
    assert_eq!(set.policy("GET", "/admin/health/.x"), Some(health));
}

#[test]
fn a_path_that_no_rule_can_have_is_refused() {
    for (path, reason) in [
        ("", "must begin with `/`"),
        ("admin", "must begin with `/`"),
        ("/a?b", "query"),
        ("/a#b", "fragment"),
        ("/a\nb", "control character"),
        ("/a%00", "control character"),
        ("/a/../b", "segment"),
        ("/./a", "segment"),
        ("/a%2F%2e%2E", "segment"),
        ("/a/*", "path prefixes"),
        ("/{id}", "path prefixes"),
        ("/<id..>", "path prefixes"),
    ] {
        check_refused(Rule::path(path), path, reason);
        assert!(check_path(path).unwrap_err().contains(reason));
    }
    assert_eq!(check_path("/a%2A"), Ok(()));
    check("/a%2A%3F", "/a*%3F", true);
}

#[test]
fn methods_and_confidence_of_a_rule_are_checked() {
    let rule = || Rule::path("/a");
    check_refused(rule().methods([""]), "", "no HTTP method");
    check_refused(rule().methods(["GET", "P T"]), "P T", "the rule for `/a`");
    for any in ["*", "ANY", "all"] {
        check_refused(rule().methods([any]), any, "leave `methods` out");
    }
    check_refused(rule().methods(["'GET'"]), "'GET'", "in quotes");
    check_refused(rule().methods(Vec::<String>::new()), "/a", "empty list");
    check_refused(rule().min_confidence(101), "101", "the rule for `/a`");
    assert!(RuleSet::new(&[rule().min_confidence(100)], &[], DEFAULTS).is_ok());
}

#[test]
fn choices_are_read_and_refused_with_the_list_of_them() {
    assert_eq!(
        Mode::ALL.map(|mode| mode.to_string().parse()),
        Mode::ALL.map(Ok)
    );
    assert_eq!(
        OnUnverified::ALL.map(|choice| choice.to_string().parse()),
        OnUnverified::ALL.map(Ok)
    );
    let error = "Enforce".parse::<Mode>().unwrap_err().to_string();
    assert_eq!(error, "`Enforce` is none of `enforce`, `monitor` and `off`");
    let error = "".parse::<OnUnverified>().unwrap_err().to_string();
    assert_eq!(error, "`` is none of `allow` and `deny`");
}

#[derive(Debug, serde::Deserialize)]
struct File {
    rules: Vec<Rule>,
}

#[test]
fn a_rule_is_a_string_or_a_table() {
    let text = r#"
        rules = [
            "/a",
            { path = "/b", methods = ["POST"], min_confidence = 50, mode = "monitor", on_unverified = "deny" },
        ]
    "#;
    let b = Rule::path("/b")
        .methods(["POST"])
        .min_confidence(50)
        .mode(Mode::Monitor)
        .on_unverified(OnUnverified::Deny);
    assert_eq!(
        toml::from_str::<File>(text).unwrap().rules,
        ["/a".into(), b]
    );
}

#[test]
fn a_wrong_rule_says_what_is_wrong() {
    for (rule, reason) in [
        (
            "7",
            "expected a path like `/admin`, or a table with a `path`",
        ),
        ("{ mode = 'off' }", "missing field `path`"),
        (
            "{ path = '/a', method = [] }",
            "unknown field `method`, expected one of `path`, `methods`",
        ),
        (
            "{ path = '/a', mode = 'on' }",
            "unknown variant `on`, expected one of `enforce`, `monitor`, `off`",
        ),
        ("{ path = '/a', methods = 'POST' }", "expected a sequence"),
        ("{ path = '/a', min_confidence = -1 }", "integer `-1`"),
        ("{ path = '/a', min_confidence = 256 }", "integer `256`"),
    ] {
        let error = toml::from_str::<File>(&format!("rules = [{rule}]")).unwrap_err();
        assert!(
            error.message().contains(reason),
            "{rule}: {}",
            error.message()
        );
    }
}

/// What a server between the client and the handler may do to a path.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    DecodeWhole,
    DecodeSegments,
    Collapse,
    Resolve,
}

type Path = Vec<Vec<u8>>;

fn split(path: &[u8]) -> Path {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.split(|&byte| byte == b'/')
        .map(<[u8]>::to_vec)
        .collect()
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let escape = text
            .get(at + 1..at + 3)
            .filter(|digits| text[at] == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        match escape {
            Some(digits) => {
                let digits = std::str::from_utf8(digits).unwrap();
                decoded.push(u8::from_str_radix(digits, 16).unwrap());
                at += 3;
            }
            None => {
                decoded.push(text[at]);
                at += 1;
            }
        }
    }
    decoded
}

fn apply(step: Step, path: Path) -> Path {
    match step {
        Step::DecodeWhole => split(&decode(&path.join(&b'/'))),
        Step::DecodeSegments => path.iter().map(|segment| decode(segment)).collect(),
        Step::Collapse => path
            .into_iter()
            .filter(|segment| !segment.is_empty())
            .collect(),
        Step::Resolve => {
            let mut resolved = Path::new();
            for segment in path {
                match segment.as_slice() {
                    b"." => {}
                    b".." => drop(resolved.pop()),
                    _ => resolved.push(segment),
                }
            }
            resolved
        }
    }
}

/// Any steps in any order, of which one at most decodes.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::{Collapse, DecodeSegments, DecodeWhole, Resolve};
    let others = || prop::collection::vec(select(vec![Collapse, Resolve]), 0..3);
    let decode = prop::option::of(select(vec![DecodeWhole, DecodeSegments]));
    (others(), decode, others())
        .prop_map(|(before, decode, after)| before.into_iter().chain(decode).chain(after).collect())
}

/// Paths that consist of what readers disagree about.
fn awkward_path() -> impl Strategy<Value = String> {
    let pieces = vec![
        "/", "/", "/", "//", "%2F", "%2f", "a", "b", "%61", "%62", "c", "/a", "/b", "/a/b", ".",
        "..", "/..", "/../", "/./", "%2e", "%2E%2e", "/%2e%2e/", "%", "%2", "%252e", "%25", "?",
        "#",
    ];
    prop::collection::vec(select(pieces), 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// Paths in which little or nothing can be read in another way.
fn nearly_plain_path() -> impl Strategy<Value = String> {
    let pieces = vec!["/a", "/b", "/ab", "/.b", "/", "?b", "#", "%20", ".b", "-"];
    prop::collection::vec(select(pieces), 0..4).prop_map(|pieces| pieces.concat())
}

fn without_query(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap()
}

/// The rules of some handlers, and the same as segments, the one that wins first.
fn nested_rules() -> ([Rule; 3], [(Path, Policy); 3]) {
    let rules = [
        Rule::path("/a/b").min_confidence(80).mode(Mode::Off),
        Rule::path("/a")
            .min_confidence(95)
            .on_unverified(OnUnverified::Deny),
        Rule::path("/b/a").mode(Mode::Monitor),
    ];
    let a_b = Policy::new(80, Mode::Off, OnUnverified::Allow);
    let a = Policy::new(95, Mode::Enforce, OnUnverified::Deny);
    let b_a = Policy::new(90, Mode::Monitor, OnUnverified::Allow);
    let policies = [
        (split(b"/a/b"), a_b),
        (split(b"/a"), a),
        (split(b"/b/a"), b_a),
    ];
    (rules, policies)
}

fn pick(path: &Path, policies: &[(Path, Policy)]) -> Option<Policy> {
    policies
        .iter()
        .find(|(prefix, _)| path.starts_with(prefix))
        .map(|(_, policy)| *policy)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_servers_do_to_a_path_its_handlers_rule_holds(path in awkward_path(), steps in steps()) {
        let (rules_, policies) = nested_rules();
        let guarded = rules(&rules_).policy("GET", &path);
        let start = split(without_query(&path).as_bytes());
        let end = steps.iter().fold(start, |path, &step| apply(step, path));
        for end in [apply(Step::Collapse, end.clone()), end] {
            if let Some(handler) = pick(&end, &policies) {
                let guarded = guarded.expect("in scope");
                prop_assert_eq!(guarded.stricter(handler), guarded);
            }
        }
    }

    #[test]
    fn whatever_servers_do_to_an_exempt_path_it_stays_there(
        path in prop_oneof![awkward_path(), nearly_plain_path()],
        steps in steps(),
    ) {
        if exempting(&["/a"]).policy("GET", &path).is_none() {
            let start = split(path.as_bytes());
            let end = steps.iter().fold(start, |path, &step| apply(step, path));
            prop_assert!(apply(Step::Collapse, end).starts_with(&split(b"/a")));
        }
    }

    #[test]
    fn a_path_is_covered_when_one_of_its_readings_is(path in awkward_path()) {
        use Step::{Collapse, DecodeSegments, DecodeWhole, Resolve};
        let readings: [&[Step]; 6] = [
            &[],
            &[DecodeSegments],
            &[DecodeWhole],
            &[Collapse, Resolve],
            &[DecodeSegments, Collapse, Resolve],
            &[DecodeWhole, Collapse, Resolve],
        ];
        let (_, policies) = nested_rules();
        let only = &policies[..1];
        let start = split(without_query(&path).as_bytes());
        let expected = readings.iter().any(|steps| {
            let end = steps.iter().fold(start.clone(), |path, &step| apply(step, path));
            pick(&apply(Collapse, end), only).is_some()
        });
        let covered = rules(&[Rule::path("/a/b")]).policy("GET", &path).is_some();
        prop_assert!(covered || !expected);
        // Where dots do not meet escapes or empty segments, it is covered only then.
        let whole = apply(DecodeWhole, start.clone());
        let has_dots = whole.iter().any(|segment| matches!(segment.as_slice(), b"." | b".."));
        let path = without_query(&path);
        if !has_dots || !path.contains('%') && !path.contains("//") {
            prop_assert_eq!(covered, expected);
        }
    }

    #[test]
    fn every_way_to_write_a_protected_path_is_covered(
        noise in prop::collection::vec(
            select(vec!["", "/", "./", "%2F", "%2e/", "x/../", "x/%2E./", "x%2f..%2F", "//", "x/y/../../"]), 3
        ),
        escaped in prop::collection::vec(any::<Option<bool>>(), 16),
        end in select(vec!["", "/", "/x", "//", "?q", "#f", "/..;", "%2F", "/%zz", "/."]),
    ) {
        let mut escaped = escaped.into_iter().cycle();
        let mut write = |segment: &str| -> String {
            segment.bytes().map(|byte| match escaped.next().flatten() {
                None => char::from(byte).to_string(),
                Some(true) => format!("%{byte:02X}"),
                Some(false) => format!("%{byte:02x}"),
            }).collect()
        };
        let (admin, users) = (write("admin"), write("users"));
        let path = format!("/{}{}{admin}/{}{users}{end}", noise[0], noise[1], noise[2]);
        prop_assert!(rules(&["/admin/users".into()]).policy("GET", &path).is_some(), "{}", path);
    }

    #[test]
    fn a_plain_path_is_covered_by_whole_segments_only(path in "(/[abc]{1,2}){0,4}/?", rule in "(/[abc]{1,2}){1,2}") {
        let covered = rules(&[rule.as_str().into()]).policy("GET", &path).is_some();
        let expected = format!("{}/", path.trim_end_matches('/')).starts_with(&format!("{rule}/"));
        prop_assert_eq!(covered, expected);
    }

    #[test]
    fn a_glance_at_a_path_picks_what_all_its_readings_pick(
        path in prop_oneof![awkward_path(), nearly_plain_path(), any::<String>()],
        method in select(vec!["GET", "POST"]),
    ) {
        let (nested, _) = nested_rules();
        let awkward = ["/a%3Fb", "/a%2520", "/a/.b", "/b%23"].map(Rule::path);
        let with_methods = Rule::path("/b").methods(["POST"]).min_confidence(10);
        let all = [&nested[..], &awkward[..], &[with_methods]].concat();
        for chosen in [&all[..], &all[1..], &["/".into(), "/a/.b".into()]] {
            let set = rules(chosen);
            let by_all_readings = set.by_all_readings(method, RequestPath::new(path.as_bytes()));
            prop_assert_eq!(set.policy(method, &path), by_all_readings);
        }
    }

    #[test]
    fn nothing_panics(path in any::<String>(), rule in any::<String>(), method in any::<String>()) {
        let _ = rules(&["/a".into(), "/a/b".into()]).policy(&method, &path);
        for rule in [rule.clone(), format!("/{rule}")] {
            if let Ok(set) = RuleSet::new(&[Rule::path(rule).methods(["GET"])], &[], DEFAULTS) {
                let _ = set.policy("GET", &path);
            }
        }
    }
}

use std::borrow::Cow;
use std::io::Cursor;

use proptest::prelude::*;

use super::*;

/// 17 May 2015, 10:05:03 UTC.
const TIME: u64 = 1_431_857_103;

const REST: &str = r#"200 512 "https://a.example/" "Browser/1.0""#;

fn parsed(line: &[u8]) -> Line<'_> {
    match parse(line) {
        Ok(line) => line,
        Err(malformed) => panic!("{malformed:?}: {}", String::from_utf8_lossy(line)),
    }
}

#[track_caller]
fn client_of(line: &str, client: &str) {
    let line = parsed(line.as_bytes());
    assert_eq!(line.client.to_string(), client);
    assert_eq!((line.time, line.status), (TIME, Some(200)));
}

#[track_caller]
fn request_of(quoted: &[u8], expected: Option<(&str, &str)>) {
    let mut line = br#"25.0.0.1 - - [17/May/2015:10:05:03 +0000] ""#.to_vec();
    line.extend_from_slice(quoted);
    line.extend_from_slice(br#"" 404 9 "-" "B\"rowser] \"x\" 500""#);
    let line = parsed(&line);
    assert_eq!(line.status, Some(404));
    let request = line.request();
    let found = request.as_ref().map(|r| (r.method, &*r.path));
    assert_eq!(found, expected, "{}", String::from_utf8_lossy(quoted));
}

#[track_caller]
fn refused(line: &str, reason: Malformed) {
    assert_eq!(parse(line.as_bytes()), Err(reason), "{line}");
}

#[test]
fn the_client_stands_first_or_after_a_virtual_host() {
    for (head, client) in [
        ("25.0.0.1 - -", "25.0.0.1"),
        ("25.0.0.1 - bob", "25.0.0.1"),
        ("25.0.0.1 - bob the builder", "25.0.0.1"),
        (r#"25.0.0.1 - """#, "25.0.0.1"),
        (r#"25.0.0.1 - b\"ob] \"x"#, "25.0.0.1"),
        ("25.0.0.1 - x [01/Jan/1999:00:00:00 +0000]", "25.0.0.1"),
        ("3ffe::1 - -", "3ffe::1"),
        ("[3ffe::1] - -", "3ffe::1"),
        ("3ffe::1%eth0 - -", "3ffe::1"),
        ("::ffff:25.0.0.1 - -", "25.0.0.1"),
        ("25.0.0.1:4711 - -", "25.0.0.1"),
        ("[3ffe::1]:4711 - -", "3ffe::1"),
        ("www.site.example 25.0.0.1 - -", "25.0.0.1"),
        ("www.site.example:443 3ffe::1 - bob", "3ffe::1"),
        ("26.0.0.9:80 25.0.0.1 - -", "25.0.0.1"),
        ("26.0.0.9 25.0.0.1 - -", "25.0.0.1"),
        ("25.0.0.1 26.0.0.9 bob", "25.0.0.1"),
    ] {
        let line = format!(r#"{head} [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" {REST}"#);
        client_of(&line, client);
    }
}

#[test]
fn what_follows_the_status_does_not_matter() {
    for rest in [
        "200",
        "200 -",
        "200 512",
        r#"200 512 "-" "-" 0.003 "more""#,
        "200 512 \"cut off",
    ] {
        let line = format!(r#"25.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" {rest}"#);
        client_of(&line, "25.0.0.1");
    }
}

#[test]
fn the_referrer_stands_before_the_user_agent() {
    for (rest, referrer, user_agent) in [
        (
            r#"200 5 "https://a.example/" "B/1""#,
            Some("https://a.example/"),
            Some("B/1"),
        ),
        (r#"200 5 "-" "-""#, Some(""), Some("")),
        (r#"200 5 "" """#, Some(""), Some("")),
        (r#"200 5 "a\"b" "c\x21" "more""#, Some("a\"b"), Some("c!")),
        (r#"200 5 "only one""#, Some("only one"), None),
        (r#"200 5 "cut" "off"#, Some("cut"), None),
        ("200 5", None, None),
    ] {
        let text = format!(r#"25.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" {rest}"#);
        let line = parsed(text.as_bytes());
        let found = (line.referrer.as_deref(), line.user_agent.as_deref());
        let expected = (referrer.map(str::as_bytes), user_agent.map(str::as_bytes));
        assert_eq!(found, expected, "{rest}");
    }
}

#[test]
fn a_time_is_read_with_its_zone() {
    for (time, seconds) in [
        ("17/May/2015:10:05:03 +0000", TIME),
        ("17/May/2015:12:05:03 +0200", TIME),
        ("17/May/2015:04:35:03 -0530", TIME),
        ("29/Feb/2024:23:59:59 +0000", 1_709_251_199),
        ("31/Dec/2016:23:59:60 +0000", 1_483_228_799),
        ("01/Jan/1970:00:00:00 +0000", 0),
    ] {
        let line = format!(r#"25.0.0.1 - - [{time}] "GET / HTTP/1.1" 200 5"#);
        assert_eq!(parsed(line.as_bytes()).time, seconds, "{time}");
    }
}

#[test]
fn what_is_no_time_is_refused() {
    for time in [
        "17/Mai/2015:10:05:03 +0000",
        "32/May/2015:10:05:03 +0000",
        "29/Feb/2023:10:05:03 +0000",
        "17/May/2015:24:05:03 +0000",
        "17/May/2015:10:60:03 +0000",
        "17/May/2015:10:05:61 +0000",
        "17/May/2015:10:05:03 +9900",
        "17/May/2015:10:05:03 +0060",
        "17/May/2015:10:05:03 00000",
        "17/May/2015 10:05:03 +0000",
        "17/May/2015:10:05:03",
        "2015-05-17T10:05:03+00:00",
        "",
    ] {
        let line = format!(r#"25.0.0.1 - - [{time}] "GET / HTTP/1.1" 200 5"#);
        refused(&line, Malformed::BadTime);
    }
    refused(
        r#"25.0.0.1 - - [31/Dec/1969:23:59:59 +0000] "GET / HTTP/1.1" 200 5"#,
        Malformed::TooEarly,
    );
}

#[test]
fn a_line_that_lacks_something_is_refused_with_a_reason() {
    let at = "[17/May/2015:10:05:03 +0000]";
    for (line, reason) in [
        (String::new(), Malformed::NoRequest),
        ("garbage".to_owned(), Malformed::NoRequest),
        (format!("25.0.0.1 - - {at}"), Malformed::NoRequest),
        (format!("25.0.0.1 - - {at} GET / 200"), Malformed::NoRequest),
        (r#"] "GET / HTTP/1.1" 200 5"#.to_owned(), Malformed::BadTime),
        (format!(r#"{at} "GET /" 200"#), Malformed::NoClient),
        (format!(r#"- - - {at} "GET /" 200"#), Malformed::NoClient),
        (
            format!(r#"host.example - - {at} "GET /" 200"#),
            Malformed::NoClient,
        ),
        (
            format!(r#"25.0.0.256 - - {at} "GET /" 200"#),
            Malformed::NoClient,
        ),
        (
            format!(r#"25.0.0.1, 26.0.0.1 - - {at} "GET /" 200"#),
            Malformed::NoClient,
        ),
        (
            format!(r#"25.0.0.1 - - {at} "GET /"#),
            Malformed::OpenRequest,
        ),
        (
            format!(r#"25.0.0.1 - - {at} "GET /\" 200 5"#),
            Malformed::OpenRequest,
        ),
        (format!(r#"25.0.0.1 - - {at} "GET /""#), Malformed::NoStatus),
        (
            format!(r#"25.0.0.1 - - {at} "GET /" 20 5"#),
            Malformed::NoStatus,
        ),
        (
            format!(r#"25.0.0.1 - - {at} "GET /" +20 5"#),
            Malformed::NoStatus,
        ),
    ] {
        refused(&line, reason);
    }
}

#[test]
fn a_connection_that_ended_first_has_no_status() {
    // Traefik writes the latter two.
    for status in ["-", "000", "0", "%!d(<nil>)"] {
        let line =
            format!(r#"25.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" {status} 0"#);
        assert_eq!(parsed(line.as_bytes()).status, None);
    }
}

#[test]
fn the_path_is_the_target_without_its_query() {
    for (quoted, method, path) in [
        ("GET / HTTP/1.1", "GET", "/"),
        ("GET /a/b?c=d HTTP/1.1", "GET", "/a/b"),
        ("GET /a#b HTTP/1.1", "GET", "/a"),
        ("POST /login HTTP/2.0", "POST", "/login"),
        ("GET /a%20b//c/../d HTTP/1.1", "GET", "/a%20b//c/../d"),
        ("GET /two words HTTP/1.1", "GET", "/two words"),
        (r"GET /tab\t HTTP/1.1", "GET", "/tab\t"),
        ("GET /old", "GET", "/old"),
        ("GET http://a.example/b/c?d HTTP/1.1", "GET", "/b/c"),
        ("GET http://a.example HTTP/1.1", "GET", "/"),
        ("GET http://a.example?b HTTP/1.1", "GET", "/"),
        ("CONNECT a.example:443 HTTP/1.1", "CONNECT", "/"),
        ("OPTIONS * HTTP/1.1", "OPTIONS", "*"),
        ("X-ODD /a HTTP/1.1", "X-ODD", "/a"),
        (
            r#"GET /a\"b\\c\x2Fd\te\q HTTP/1.1"#,
            "GET",
            "/a\"b\\c/d\te\\q",
        ),
        (r"GET /\xc3\xbc HTTP/1.1", "GET", "/ü"),
        (r"GET /\xff HTTP/1.1", "GET", "/\u{fffd}"),
    ] {
        request_of(quoted.as_bytes(), Some((method, path)));
    }
    request_of(b"GET /\xff HTTP/1.1", Some(("GET", "/\u{fffd}")));
}

#[test]
fn what_no_application_ever_sees_is_no_request() {
    for quoted in [
        &b"-"[..],
        b"",
        b" ",
        br"\x16\x03\x01\x02",
        b"\x16\x03\x01 /",
        br"\x00\x00 \x16 HTTP/1.1",
        b"GET",
        b"GET ",
        b"GET  HTTP/1.1",
        b"GET ?a HTTP/1.1",
        br"SSH-2.0-Go\r\n",
    ] {
        request_of(quoted, None);
    }
}

#[test]
fn the_time_in_a_request_or_a_referer_moves_nothing() {
    let fake = r#"[01/Jan/1999:00:00:00 +0000] \"GET /fake HTTP/1.1\" 500"#;
    let line = format!(
        r#"25.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /{fake} HTTP/1.1" 200 5 "[01/Jan/1999:00:00:00 +0000] "GET" "{fake}""#
    );
    client_of(&line, "25.0.0.1");
}

#[track_caller]
fn lines_of(input: &[u8], expected: &[&[u8]]) {
    // One byte at a time and all at once.
    for capacity in [1, input.len() + 1] {
        let reader = std::io::BufReader::with_capacity(capacity, Cursor::new(input));
        let mut lines = Lines::new(reader);
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().expect("memory can be read") {
            found.push(line.to_vec());
        }
        assert_eq!(found, expected);
    }
}

#[test]
fn a_stream_falls_into_lines() {
    lines_of(b"", &[]);
    lines_of(b"a", &[b"a"]);
    lines_of(b"a\n", &[b"a"]);
    lines_of(b"a\r\n\nb", &[b"a", b"", b"b"]);
    lines_of(b"\0\0\0a\0b\0\n", &[b"a\0b"]);
    lines_of(b"\xef\xbb\xbfa\n\xef\xbb\xbfb", &[b"a", b"b"]);
}

#[test]
fn a_line_of_a_megabyte_is_cut_and_the_next_one_is_whole() {
    let mut input = vec![b'x'; 1_024 * 1_024];
    input.extend_from_slice(b"\nnext");
    lines_of(&input, &[&[b'x'; LONGEST], b"next"]);
}

fn any_client() -> impl Strategy<Value = std::net::IpAddr> {
    prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(Into::into),
        any::<std::net::Ipv6Addr>().prop_map(|ip| std::net::IpAddr::V6(ip).to_canonical()),
    ]
}

#[track_caller]
fn client_in(rest: &str, field: ClientField, client: Result<&str, Malformed>) {
    let line =
        format!(r#"10.0.0.2 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 {rest}"#);
    let found = parse_with(line.as_bytes(), field).map(|line| line.client.to_string());
    assert_eq!(found, client.map(str::to_owned), "{rest}");
}

#[test]
fn the_last_forwarded_address_that_is_not_internal_is_the_client() {
    for (list, client) in [
        ("25.0.0.1", Ok("25.0.0.1")),
        ("26.0.0.9, 25.0.0.1", Ok("25.0.0.1")),
        ("26.0.0.9,25.0.0.1,, 10.0.0.7 ,fd00::1", Ok("25.0.0.1")),
        ("10.0.0.7, 192.168.0.1, 100.64.0.1, fe80::1", Ok("10.0.0.7")),
        ("nonsense, 25.0.0.1:4711", Ok("25.0.0.1")),
        ("25.0.0.1, unknown", Err(Malformed::NoClient)),
        ("[3ffe::1]:443", Ok("3ffe::1")),
        ("-", Ok("10.0.0.2")),
        ("", Ok("10.0.0.2")),
    ] {
        let rest = format!(r#""-" "B" "{list}""#);
        client_in(&rest, ClientField::ForwardedFor, client);
        client_in(&rest, ClientField::Quoted(3), client);
        client_in(&rest, ClientField::Peer, Ok("10.0.0.2"));
        client_in(&rest, ClientField::Quoted(4), Err(Malformed::NoField));
    }
    client_in(r#""25.0.0.1""#, ClientField::Quoted(1), Ok("25.0.0.1"));
}

#[test]
fn a_line_over_a_unix_socket_has_a_client_where_a_header_names_it() {
    let line =
        br#"unix: - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "B" "25.0.0.1""#;
    let found = parse_with(line, ClientField::ForwardedFor).map(|line| line.client.to_string());
    assert_eq!(found, Ok("25.0.0.1".to_owned()));
    assert_eq!(parse(line), Err(Malformed::NoClient));
}

/// What is read of a line in JSON: client, path, status, referrer, user agent.
type InJson<'a> = (
    &'a str,
    &'a str,
    Option<u16>,
    Option<&'a str>,
    Option<&'a str>,
);

#[track_caller]
fn json(line: &str, field: ClientField, expected: Result<InJson<'_>, Malformed>) {
    let read = parse_with(line.as_bytes(), field);
    let expected = expected.map(|(client, path, status, referrer, user_agent)| Line {
        client: client.parse().expect("an address"),
        time: TIME,
        request: format!("GET {path} HTTP/1.1").into_bytes().into(),
        status,
        referrer: referrer.map(|text| text.as_bytes().into()),
        user_agent: user_agent.map(|text| text.as_bytes().into()),
    });
    assert_eq!(read, expected, "{line}");
}

const CADDY: &str = r#"{"level":"info","ts":1431857103.25,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"10.0.0.2","remote_port":"4711","client_ip":"25.0.0.1","proto":"HTTP/2.0","method":"GET","host":"a.example","uri":"/a?b","headers":{"User-Agent":["B/1"],"Referer":["https://a.example/"],"X-Forwarded-For":["25.0.9.9","25.0.0.2, 10.0.0.7"]}},"bytes_read":0,"duration":0.002,"size":12,"status":404}"#;

const TRAEFIK: &str = r#"{"ClientAddr":"10.0.0.2:4711","ClientHost":"25.0.0.1","DownstreamStatus":404,"OriginStatus":200,"RequestMethod":"GET","RequestPath":"/a?b","StartUTC":"2015-05-17T10:05:03.987654321Z","level":"info","msg":"","request_User-Agent":"B/1","time":"2015-05-17T12:05:09+02:00"}"#;

#[test]
fn caddy_s_entries_are_read() {
    let all = (
        "25.0.0.1",
        "/a?b",
        Some(404),
        Some("https://a.example/"),
        Some("B/1"),
    );
    json(CADDY, ClientField::Peer, Ok(all));
    let forwarded = ("25.0.0.2", all.1, all.2, all.3, all.4);
    json(CADDY, ClientField::ForwardedFor, Ok(forwarded));
    json(CADDY, ClientField::Quoted(3), Err(Malformed::NoField));
    let old = r#"{"status":0,"request":{"uri":"/","method":"GET","headers":{},"remote_addr":"25.0.0.1:9"},"ts":"2015-05-17T12:05:03+0200"}"#;
    json(
        old,
        ClientField::Peer,
        Ok(("25.0.0.1", "/", None, Some(""), Some(""))),
    );
    let bare = r#"{"ts":1431857103999,"request":{"remote_ip":"3ffe::1","method":"GET","uri":"/"}}"#;
    json(
        bare,
        ClientField::ForwardedFor,
        Ok(("3ffe::1", "/", None, None, None)),
    );
}

#[test]
fn traefik_s_entries_are_read() {
    let all = ("25.0.0.1", "/a?b", Some(404), None, Some("B/1"));
    json(TRAEFIK, ClientField::Peer, Ok(all));
    json(TRAEFIK, ClientField::ForwardedFor, Ok(all));
    // Traefik takes the whole header for the host, where it trusts that.
    let list = TRAEFIK.replace(r#""25.0.0.1""#, r#""25.0.9.9, 25.0.0.1""#);
    json(&list, ClientField::ForwardedFor, Ok(all));
    json(&list, ClientField::Peer, Err(Malformed::NoClient));
    let bare = r#" {"time":"2015-05-17T10:05:03Z","RequestPath":"/","RequestMethod":"GET","DownstreamStatus":0,"ClientAddr":"25.0.0.1:9"}"#;
    json(
        bare,
        ClientField::Peer,
        Ok(("25.0.0.1", "/", None, None, None)),
    );
}

#[test]
fn a_line_in_docker_s_log_is_read_as_it_stands_there() {
    let line = r#"25.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 404 5 "-" "B/1""#;
    let all = ("25.0.0.1", "/a?b", Some(404), Some(""), Some("B/1"));
    for (inner, expected) in [
        (line, Ok(all)),
        (
            TRAEFIK,
            Ok(("25.0.0.1", "/a?b", Some(404), None, Some("B/1"))),
        ),
        ("started", Err(Malformed::NoRequest)),
    ] {
        let text = serde_json::to_string(&format!("{inner}\n")).expect("a string");
        let line = format!(r#"{{"log":{text},"stream":"stdout","time":"2026-01-01T00:00:00Z"}}"#);
        json(&line, ClientField::Peer, expected);
    }
}

#[test]
fn json_that_is_no_request_is_refused_with_a_reason() {
    let error = CADDY.replace("http.log.access.log0", "http.log.error");
    let cut = &CADDY[..CADDY.len() - 3];
    for (line, reason) in [
        ("{}", Malformed::OtherJson),
        ("{", Malformed::NoJson),
        (cut, Malformed::NoJson),
        (&error, Malformed::OtherJson),
        (
            r#"{"level":"info","ts":1,"msg":"started"}"#,
            Malformed::OtherJson,
        ),
        (&CADDY.replace("1431857103.25", "-1"), Malformed::TooEarly),
        (
            &CADDY.replace("1431857103.25", "\"noon\""),
            Malformed::BadJsonTime,
        ),
        (
            &CADDY.replace("1431857103.25", "null"),
            Malformed::BadJsonTime,
        ),
        (&CADDY.replace("25.0.0.1", "a.example"), Malformed::NoClient),
        (&CADDY.replace("\"GET\"", "7"), Malformed::OtherJson),
    ] {
        json(line, ClientField::Peer, Err(reason));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes).map(|line| line.request().is_some());
    }

    #[test]
    fn no_spoilt_json_makes_it_panic(
        is_caddy: bool,
        place in 0..700_usize,
        length in 0..40_usize,
        inserted in "[{}\\[\\]\":,\\\\0-9a-f. -]{0,12}",
    ) {
        let mut line = if is_caddy { CADDY.to_owned() } else { TRAEFIK.to_owned() };
        let place = place.min(line.len());
        line.replace_range(place..(place + length).min(line.len()), &inserted);
        for field in [ClientField::Peer, ClientField::ForwardedFor] {
            let _ = parse_with(line.as_bytes(), field).map(|line| line.request().is_some());
        }
    }

    #[test]
    fn the_order_of_fields_in_json_does_not_matter(seed in 0..1_000_usize) {
        let serde_json::Value::Object(fields) = serde_json::from_str(TRAEFIK)? else {
            return Err(TestCaseError::fail("no object"));
        };
        let mut fields: Vec<_> = fields.into_iter().collect();
        let length = fields.len();
        fields.rotate_left(seed % length);
        fields.swap(0, seed / length % length);
        let fields = fields.iter().map(|(name, value)| format!("{name:?}:{value}"));
        let line = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
        prop_assert_eq!(parse(line.as_bytes()), parse(TRAEFIK.as_bytes()));
    }

    /// Bytes that look like a line get further than arbitrary ones.
    #[test]
    fn no_spoilt_line_makes_it_panic(
        cut in 0..130_usize,
        inserted in "[\\[\\]\" \\\\/:x0-9a-f+-]{0,12}",
        request in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut line = b"www.site.example:443 25.0.0.1 - bob [17/May/2015:10:05:03 +0000] \"GET /".to_vec();
        line.extend_from_slice(&request);
        line.extend_from_slice(b" HTTP/1.1\" 200 5 \"-\" \"Browser\"");
        let cut = cut.min(line.len());
        let rest = line.split_off(cut);
        line.extend_from_slice(inserted.as_bytes());
        line.extend_from_slice(&rest);
        let _ = parse(&line).map(|line| line.request().is_some());
    }

    #[test]
    fn a_written_line_is_read_as_it_was_meant(
        client in any_client(),
        time in 0..253_402_207_200_u64,
        method in "[A-Z]{1,8}",
        path in "/[^?# ]{0,40}",
        query in "(\\?[^ ]{0,20})?",
        status in 100..1_000_u16,
        referer in ".{0,40}",
        user_agent in ".{0,40}",
    ) {
        let target = format!("{path}{query}");
        let entry = Entry {
            client,
            time,
            method: &method,
            target: &target,
            status,
            bytes: 5,
            referer: &referer,
            user_agent: &user_agent,
        };
        let text = entry.to_string();
        let line = parse(text.as_bytes()).map_err(|m| TestCaseError::fail(m.reason()))?;
        prop_assert_eq!((line.client, line.time, line.status), (client, time, Some(status)));
        let request = line.request().ok_or_else(|| TestCaseError::fail("no request"))?;
        prop_assert_eq!((request.method, &*request.path), (&*method, &*path));
        // A header that says `-` cannot be told from none.
        let written = |text: &str| Some(if text == "-" { Vec::new() } else { text.into() });
        let read = |text: &Option<Cow<'_, [u8]>>| text.as_deref().map(<[u8]>::to_vec);
        prop_assert_eq!(read(&line.referrer), written(&referer));
        prop_assert_eq!(read(&line.user_agent), written(&user_agent));
    }
}

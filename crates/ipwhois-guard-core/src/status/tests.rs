use std::time::Duration;

use super::*;
use crate::address::Peer;
use crate::clock::ManualClock;

const TOKEN: &str = "a-token-of-this-test";
const CLIENT: &str = "25.1.2.3";

#[derive(Clone, Default)]
struct Get {
    method: &'static str,
    path: String,
    lines: Vec<(&'static str, String)>,
    peer: [u8; 4],
}

impl Get {
    fn to(method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            lines: Vec::new(),
            peer: [25, 9, 9, 9],
        }
    }

    fn line(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.lines.push((name, value.into()));
        self
    }
}

impl RequestHead for Get {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn peer(&self) -> Peer {
        Peer::Ip(self.peer.into())
    }

    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        let lines = self.lines.iter().filter(move |(other, _)| *other == name);
        lines.map(|(_, value)| value.as_bytes())
    }
}

fn guard() -> Guard {
    let guard = Guard::builder()
        .api_url("http://127.0.0.1:9")
        .feed_url("")
        .clock(ManualClock::new())
        .daily_budget(0)
        .deny(["25.1.2.0/24"])
        .status_token(TOKEN);
    guard.build().expect("the settings are right")
}

/// Refuses a request, and answers its reference.
fn refuse(guard: &Guard, path: &str) -> String {
    let mut request = Get::to("GET", path);
    request.peer = [25, 1, 2, 3];
    let crate::Step::Decided(decision) = guard.decide(&request) else {
        panic!("the denylist is asked at once");
    };
    decision.denial().expect("a denial").reference().to_owned()
}

fn get(page: &StatusPage, request: &Get) -> (u16, String) {
    let answer = page.answer(request, None, b"");
    (answer.status(), answer.into_body())
}

/// The cookie of a viewer who has given the token, and what the forms carry.
fn signed_in(page: &StatusPage) -> (String, String) {
    let request = Get::to("POST", "/guard/token").line("sec-fetch-site", "same-origin");
    let answer = page.answer(&request, None, format!("token={TOKEN}").as_bytes());
    assert_eq!(answer.status(), 303);
    let cookie = answer.headers().find(|(name, _)| *name == "set-cookie");
    let (_, cookie) = cookie.expect("a cookie");
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(TOKEN));
    let cookie = cookie.split(';').next().expect("its value").to_owned();
    let request = Get::to("GET", "/guard/").line("cookie", format!("a=b; {cookie}"));
    let (_, body) = get(page, &request);
    let (_, csrf) = body.split_once("name=\"csrf\" value=\"").expect("a form");
    let csrf = csrf.split('"').next().expect("its value").to_owned();
    (cookie, csrf)
}

#[test]
fn the_page_shows_networks_until_the_token_is_given() {
    let guard = guard();
    refuse(&guard, "/");
    guard.ban("25.7.7.7".parse().unwrap(), Duration::from_secs(60));
    let page = guard.status_page("/guard/");
    let (status, body) = get(&page, &Get::to("GET", "/guard/"));
    assert_eq!(status, 200);
    assert!(
        !body.contains(CLIENT) && !body.contains("25.7.7.7"),
        "{body}"
    );
    assert!(body.contains("25.1.2.0/24") && body.contains("25.7.7.0/24"));
    assert!(
        body.contains("<b>25.9.9.9</b>"),
        "the viewer sees its own address"
    );
    assert!(!body.contains("Lift the ban"));
    let (_, json) = get(&page, &Get::to("GET", "/guard/status.json"));
    assert!(
        !json.contains(CLIENT) && json.contains("25.1.2.0/24"),
        "{json}"
    );

    let (cookie, _) = signed_in(&page);
    let (_, body) = get(&page, &Get::to("GET", "/guard/").line("cookie", cookie));
    assert!(body.contains(CLIENT) && body.contains("Lift the ban"));
    let bearer = format!("Bearer {TOKEN}");
    let request = Get::to("GET", "/guard/status.json").line("authorization", bearer);
    let (_, json) = get(&page, &request);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["refusals"][0]["client"], CLIENT);
    assert_eq!(json["bans"][0]["client"], "25.7.7.7");
    for wrong in ["Bearer x", "Bearer ", "Basic x", ""] {
        let request = Get::to("GET", "/guard/").line("authorization", wrong);
        assert!(!get(&page, &request).1.contains(CLIENT));
    }
}

#[test]
fn what_a_client_sends_is_text() {
    let guard = guard();
    let hostile = "/<script>alert(1)</script>\"'&\u{202e}x?secret=1";
    refuse(&guard, hostile);
    let page = guard.status_page("/guard");
    let request = Get::to("GET", "/guard/");
    let answer = page.answer(&request, Some("explain=%3Cimg%20src=x%3E"), b"");
    let body = answer.into_body();
    assert!(body.contains("/&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\\u{202e}x"));
    assert!(body.contains("&lt;img src=x&gt;"));
    assert!(!body.contains("<script>alert") && !body.contains("<img"));
    assert!(!body.contains("secret"), "the query is cut");
}

#[test]
fn the_policy_allows_nothing_but_the_page_itself() {
    let page = guard().status_page("/guard");
    let answer = page.answer(&Get::to("GET", "/guard/"), None, b"");
    let policy = answer
        .headers()
        .find(|(name, _)| *name == "content-security-policy");
    let (_, policy) = policy.expect("a policy");
    let (_, nonce) = policy.split_once("script-src 'nonce-").expect("a nonce");
    let nonce = nonce.split('\'').next().expect("a nonce").to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let body = answer.clone().into_body();
    assert_eq!(body.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
    assert_eq!(
        body.matches("<script").count() + body.matches("<style").count(),
        2
    );
    assert!(!body.contains(" style=") && !body.contains("http:") && !body.contains("https:"));
    let again = page.answer(&Get::to("GET", "/guard/"), None, b"");
    assert!(!again.into_body().contains(&nonce), "a nonce is used once");
}

#[test]
fn a_ban_is_lifted_by_a_form_of_the_page_with_the_token_only() {
    let guard = guard();
    let client = "25.7.7.7".parse().unwrap();
    guard.ban(client, Duration::from_secs(60));
    let page = guard.status_page("/guard");
    let (cookie, csrf) = signed_in(&page);
    let form = format!("client=25.7.7.7&csrf={csrf}");
    let post = || Get::to("POST", "/guard/unban");
    let ours = || {
        post()
            .line("sec-fetch-site", "same-origin")
            .line("cookie", &*cookie)
    };
    let host = || post().line("cookie", &*cookie).line("host", "site.example");
    for (why, request, form) in [
        (
            "no token",
            post().line("sec-fetch-site", "same-origin"),
            &*form,
        ),
        (
            "cross-site",
            post()
                .line("sec-fetch-site", "cross-site")
                .line("cookie", &*cookie),
            &form,
        ),
        (
            "same-site",
            post()
                .line("sec-fetch-site", "same-site")
                .line("cookie", &*cookie),
            &form,
        ),
        (
            "two lines",
            ours().line("sec-fetch-site", "cross-site"),
            &form,
        ),
        (
            "another origin",
            host().line("origin", "https://evil.example"),
            &form,
        ),
        ("no origin", host(), &form),
        ("origin null", host().line("origin", "null"), &form),
        ("no form", ours(), "client=25.7.7.7"),
        ("another form", ours(), "client=25.7.7.7&csrf=0"),
    ] {
        let answer = page.answer(&request, None, form.as_bytes());
        assert_eq!(answer.status(), 403, "{why}");
        assert_eq!(guard.bans().len(), 1, "{why}");
    }
    assert_eq!(
        page.answer(&ours(), None, format!("client=x&csrf={csrf}").as_bytes())
            .status(),
        400
    );
    let request = Get::to("GET", "/guard/unban").line("cookie", &*cookie);
    assert_eq!(page.answer(&request, Some(&form), b"").status(), 405);
    let request = host().line("origin", "https://site.example");
    assert_eq!(page.answer(&request, None, form.as_bytes()).status(), 303);
    assert!(guard.bans().is_empty());
    guard.ban(client, Duration::from_secs(60));
    assert_eq!(page.answer(&ours(), None, form.as_bytes()).status(), 303);
    assert!(guard.bans().is_empty());
}

#[test]
fn a_wrong_token_opens_nothing() {
    let page = guard().status_page("/guard");
    let request = Get::to("POST", "/guard/token").line("sec-fetch-site", "same-origin");
    for form in [
        "",
        "token=",
        "token=a-token-of-this-tesT",
        "\u{fffd}",
        "token=%ff",
    ] {
        let answer = page.answer(&request, None, form.as_bytes());
        assert_eq!(answer.status(), 403, "{form}");
        assert!(answer.headers().all(|(name, _)| name != "set-cookie"));
    }
    let foreign = Get::to("POST", "/guard/token").line("sec-fetch-site", "cross-site");
    let right = format!("token={TOKEN}");
    assert_eq!(page.answer(&foreign, None, right.as_bytes()).status(), 403);
}

#[test]
fn an_address_is_explained_with_the_token_and_a_reference_without() {
    let guard = guard();
    let reference = refuse(&guard, "/shop");
    let page = guard.status_page("/guard");
    let explain = |request: &Get, what: &str| {
        let answer = page.answer(request, Some(&format!("explain={what}")), b"");
        answer.into_body()
    };
    let anybody = Get::to("GET", "/guard/");
    let body = explain(&anybody, &reference);
    assert!(body.contains("What would happen now") && body.contains("GET /shop"));
    assert!(!body.contains(CLIENT));
    assert!(explain(&anybody, CLIENT).contains("holder of the token only"));
    assert!(explain(&anybody, "00000000").contains("No remembered refusal"));
    let (cookie, _) = signed_in(&page);
    let admitted = Get::to("GET", "/guard/").line("cookie", cookie);
    assert!(explain(&admitted, CLIENT).contains("What would happen now"));
}

#[test]
fn each_path_has_its_answer() {
    let guard = guard();
    let page = guard.status_page("/ops/guard/");
    assert_eq!(page.path(), "/ops/guard");
    for (method, path, status) in [
        ("GET", "/ops/guard", 303),
        ("GET", "/ops/guard/", 200),
        ("HEAD", "/ops/guard/", 200),
        ("POST", "/ops/guard/", 405),
        ("GET", "/ops/guard/x", 404),
        ("GET", "/ops/guards", 404),
        ("GET", "/", 404),
    ] {
        assert_eq!(
            get(&page, &Get::to(method, path)).0,
            status,
            "{method} {path}"
        );
    }
    assert!(page.covers("/ops/guard/x") && !page.covers("/ops/guards"));
    assert_eq!(get(&guard.status_page("/"), &Get::to("GET", "/")).0, 200);
}

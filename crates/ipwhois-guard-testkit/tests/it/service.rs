//! The service as it should be.

use crate::client::{Client, ip, start};

#[test]
fn an_unknown_address_is_not_listed() {
    let service = start();
    let reply = Client::of(&service).check("26.0.0.1");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({ "ip": "26.0.0.1", "listed": false, "confidence": 0 })
    );
}

#[test]
fn a_listed_address_is_listed_until_it_is_taken_off() {
    let service = start();
    service.list(ip("25.0.0.1"), 95);
    service.list_as(ip("3ffe::1"), 40, "spam");
    let mut client = Client::of(&service);

    let listed: serde_json::Value = serde_json::from_str(&client.check("25.0.0.1").body).unwrap();
    assert_eq!(listed["ip"], "25.0.0.1");
    assert_eq!(listed["listed"], true);
    assert_eq!(listed["confidence"], 95);
    assert_eq!(listed["threat_type"], "scan");
    assert!(listed.as_object().unwrap().len() > 4, "fields to ignore");

    let spam = client.check("3ffe%3A%3A1").body;
    assert!(spam.contains(r#""confidence":40"#) && spam.contains(r#""threat_type":"spam""#));

    service.unlist(ip("25.0.0.1"));
    assert!(client.check("25.0.0.1").body.contains(r#""listed":false"#));
}

#[test]
fn what_is_no_address_is_a_bad_request() {
    let service = start();
    let mut client = Client::of(&service);
    for asked in ["", "nonsense", "25.0.0.1%20", "25.0.0.256"] {
        assert_eq!(client.check(asked).status, 400, "{asked:?}");
    }
    assert_eq!(client.get("/api/check", "").status, 400);
}

#[test]
fn other_paths_and_methods_are_refused() {
    let service = start();
    let mut client = Client::of(&service);
    assert_eq!(client.get("/", "").status, 404);
    assert_eq!(client.get("/api/check/", "").status, 404);
    let reply = client.get("/api/report", "");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    client.send("HEAD /feed.txt HTTP/1.1\r\n\r\nHEAD /x HTTP/1.1\r\n\r\n");
    assert_eq!(client.reply().status, 405);
    assert_eq!(client.reply().status, 404);
}

#[test]
fn a_report_is_taken_when_it_is_complete() {
    let service = start();
    let mut client = Client::of(&service);
    let reply = client.report("ip=25.0.0.1&type=brute-force");
    assert_eq!((reply.status, &*reply.body), (200, r#"{"status":"ok"}"#));
    for body in [
        "",
        "type=scan",
        "ip=x&type=scan",
        "ip=25.0.0.1&type=evil",
        "ip=25.0.0.1",
    ] {
        let reply = client.report(body);
        assert_eq!(reply.status, 400, "{body:?}");
        assert!(reply.body.contains("error"), "{body:?}");
    }
}

#[test]
fn the_feed_is_served_and_listed() {
    let service = start();
    let mut client = Client::of(&service);
    assert!(client.get("/feed.txt", "").body.contains("Entries: 0"));

    let text = "# Generated: x | Entries: 2\n25.0.0.1\n25.0.0.2\n";
    assert_eq!(service.list_feed(text, 70), 2);
    let reply = client.get("/feed.txt", "");
    assert_eq!(reply.body, text);
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(client.check("25.0.0.2").body.contains(r#""confidence":70"#));

    service.set_feed("<html>");
    assert_eq!(client.get("/feed.txt", "").body, "<html>");
    assert!(client.check("25.0.0.2").body.contains(r#""listed":true"#));
}

#[test]
fn a_known_feed_is_not_sent_again() {
    let service = start();
    let mut client = Client::of(&service);
    let first = client.get("/feed.txt", "");
    let by_tag = format!("If-None-Match: {}\r\n", first.header("etag").unwrap());
    let by_date = format!(
        "If-Modified-Since: {}\r\n",
        first.header("last-modified").unwrap()
    );
    for condition in [&by_tag, &by_date] {
        let reply = client.get("/feed.txt", condition);
        assert_eq!((reply.status, &*reply.body), (304, ""));
        assert_eq!(reply.header("etag"), first.header("etag"));
    }
    assert_eq!(
        (service.feed_requests(), service.feed_not_modified()),
        (3, 2)
    );

    service.set_feed("25.0.0.1\n");
    for condition in [&by_tag, &by_date] {
        assert_eq!(client.get("/feed.txt", condition).status, 200);
    }
    assert_eq!(
        (service.feed_requests(), service.feed_not_modified()),
        (5, 2)
    );
}

#[test]
fn checks_beyond_the_quota_are_answered_429() {
    let service = start();
    service.quota(Some(2));
    let mut client = Client::of(&service);
    assert_eq!(client.check("26.0.0.1").status, 200);
    assert_eq!(client.check("nonsense").status, 400);
    assert_eq!(client.check("26.0.0.1").status, 200);
    let refused = client.check("26.0.0.1");
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("3600"))
    );
    assert_eq!(client.get("/feed.txt", "").status, 200);
    assert_eq!(client.report("ip=25.0.0.1&type=scan").status, 200);

    service.reset_quota();
    assert_eq!(client.check("26.0.0.1").status, 200);
    service.quota(None);
    for _ in 0..3 {
        assert_eq!(client.check("26.0.0.1").status, 200);
    }
}

#[test]
fn checks_need_the_key_when_one_is_required() {
    let service = start();
    service.require_key(Some("secret"));
    let mut client = Client::of(&service);
    let path = "/api/check?ip=26.0.0.1";
    assert_eq!(client.get(path, "").status, 401);
    assert_eq!(client.get(path, "X-API-Key: other\r\n").status, 401);
    assert_eq!(client.get(path, "x-api-key: secret\r\n").status, 200);
    assert_eq!(client.report("ip=25.0.0.1&type=scan").status, 200);
    service.require_key(None);
    assert_eq!(client.get(path, "").status, 200);
}

#[test]
fn too_much_is_refused_with_a_word_that_arrives() {
    let service = start();
    let long = "a".repeat(17 * 1024);
    let mut client = Client::of(&service);
    client.send(format!("GET /{long} HTTP/1.1\r\n\r\n"));
    assert_eq!(client.reply().status, 400);
    assert_eq!(client.rest(), (String::new(), None), "closed in order");

    let mut client = Client::of(&service);
    let body = "a".repeat(300 * 1024);
    client.send(format!(
        "POST /api/report HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.reply().status, 413);
    assert_eq!(client.rest(), (String::new(), None), "closed in order");

    let mut client = Client::of(&service);
    client.send("\u{1}\u{2}\r\n\r\n");
    assert_eq!(client.reply().status, 400);
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let service = start();
    service.list(ip("25.0.0.1"), 95);
    let mut client = Client::of(&service);
    client.send_check("25.0.0.1");
    client.send_check("26.0.0.1");
    assert!(client.reply().body.contains("25.0.0.1"));
    assert!(client.reply().body.contains("26.0.0.1"));
    client.send("GET /api/check?ip=26.0.0.2 HTTP/1.1\r\nConnection: close\r\n\r\n");
    let last = client.reply();
    assert_eq!(last.header("connection"), Some("close"));
    assert_eq!(client.rest(), (String::new(), None));
}

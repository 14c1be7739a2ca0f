//! The status page in a real browser.

use conformance::browser::Browser;
use conformance::client::Request;
use conformance::process::Process;
use ipwhois_guard_testkit::StandIn;

use super::{PATIENCE, client, until, visit};

const TOKEN: &str = "a-token-of-this-test";
const GUESSER: &str = "26.200.0.1";

/// A number that the page shows.
fn number(browser: &Browser, id: &str) -> u64 {
    let script = format!("return document.getElementById('{id}').textContent");
    let text = browser.run(&script);
    text.as_str()
        .and_then(|text| text.parse().ok())
        .expect("a number")
}

fn guess(process: &Process) -> u16 {
    let guess = Request::new("POST", "/login")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .from_client(GUESSER)
        .body("username=demo&password=wrong");
    guess.send(&process.address).status
}

#[test]
fn the_status_page_lives_in_a_browser() {
    let service = StandIn::start().expect("a free port");
    service.set_feed("25.0.9.1\n25.0.9.2\n");
    service.list("25.7.7.7".parse().expect("an address"), 95);
    let process = Process::start(
        "axum",
        &[
            ("API_URL", service.url().as_str()),
            ("API_KEY", "hunter2"),
            ("TRUSTED_PROXIES", "127.0.0.0/8"),
            ("STATUS_TOKEN", TOKEN),
            ("MAX_WAIT", "20s"),
        ],
    );
    let conformance::driver::Address::Tcp(address) = process.address else {
        panic!("a TCP address");
    };
    let site = format!("http://{address}/");
    let browser = Browser::start();
    let shows = |what: &str| until(what, PATIENCE, || browser.text().contains(what));
    browser.open(&format!("{site}guard/"));
    shows("The site is protected.");
    assert_eq!((number(&browser, "all"), number(&browser, "spent")), (0, 0));

    // Numbers move under load, without a reload.
    for n in 0..20 {
        assert_eq!(visit(&process, &client(n)), Some(200));
    }
    until("the numbers move", PATIENCE, || {
        number(&browser, "all") == 20 && number(&browser, "spent") == 20
    });

    // A path is text, and an address is its network.
    let hostile = "/admin/%3Cimg%20src=x%20onerror=alert(1)%3E/'&quot;&lt;b>?secret=1";
    let hostile = hostile.replace('>', "%3E");
    let request = Request::get(&hostile).from_client("25.7.7.7");
    assert_eq!(request.send(&process.address).status, 403);
    shows("/admin/%3Cimg%20src=x%20onerror=alert(1)%3E/'&quot;&lt;b%3E");
    let text = browser.text();
    assert!(
        text.contains("25.7.7.0/24") && !text.contains("25.7.7.7"),
        "{text}"
    );
    let strangers = "return document.querySelectorAll('main script, img, main b b').length";
    assert_eq!(browser.run(strangers), 0);
    assert!(!text.contains("secret"));

    // The refusal is explained by its reference.
    browser.click("details summary");
    browser.click("details a");
    shows("What would happen now");
    browser.open(&format!("{site}guard/"));

    // A ban is lifted by the button.
    for _ in 0..4 {
        assert_eq!(guess(&process), 401);
    }
    assert_eq!(guess(&process), 429);
    shows("26.200.0.0/24");
    browser.write("#token", TOKEN);
    browser.click("form[action=token] button");
    shows(GUESSER);
    assert!(!browser.text().contains(TOKEN));
    assert_eq!(guess(&process), 429);
    browser.click("form[action=unban] button");
    shows("Nobody is banned.");
    assert_eq!(guess(&process), 401);

    // A problem comes and goes, without a reload.
    service.require_key(Some("another"));
    assert_eq!(visit(&process, &client(100)), Some(200));
    shows("key_refused");
    assert!(browser.text().contains("one thing is to be mended"));
    service.require_key(Some("hunter2"));
    assert_eq!(visit(&process, &client(101)), Some(200));
    shows("The site is protected.");

    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
    let requested = browser.requested();
    assert!(requested.len() > 5, "{requested:?}");
    // Its own start page is no request.
    for url in requested.iter().filter(|url| !url.starts_with("chrome")) {
        assert!(url.starts_with(&site) || url.starts_with("data:"), "{url}");
    }
}

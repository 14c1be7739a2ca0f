//! Rules and the ways to write a path.

use crate::bench::{LISTED, Setup};
use crate::client::Request;
use crate::driver::Driver;

/// Whatever a framework makes of these: when a handler of `/admin` would run, the guard has refused before.
pub fn no_spelling_of_a_path_slips_past_its_rule<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    for path in [
        "/admin",
        "/admin/",
        "/admin/users/1",
        "//admin",
        "/admin//users",
        "/./admin",
        "/x/../admin",
        "/admin/../admin/users",
        "/admin/./",
        "/admin/..",
        "/admin/x/../../y",
        "/%61dmin",
        "/%61%64%6d%69%6e",
        "/%61dmin/../x",
        "/admin%2fusers",
        "/admin%2Fusers",
        "/x%2f..%2fadmin",
        "/x%2fy/../admin",
        "/%2e/admin",
        "/x/%2e%2e/admin",
        "/admin?x=/public",
        "/admin/%zz",
        "/admin/%",
        "/admin/%00",
        "/admin/%ff",
    ] {
        let response = bench.send(&Request::get(path).from_client(LISTED));
        assert!(
            matches!(response.status, 403 | 400),
            "{path}: {}",
            response.status
        );
        assert_eq!(bench.handled(), 0, "{path} reached a handler");
    }
}

pub fn a_rule_covers_whole_segments_only<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    for path in [
        "/administrator",
        "/admi",
        "/x/admin",
        "/",
        "/ADMIN",
        "/admin-x",
    ] {
        let response = bench.send(&Request::get(path).from_client(LISTED));
        assert_ne!(response.status, 403, "{path}");
    }
    assert_eq!(bench.service.check_count(), 0);
}

pub fn the_query_is_no_part_of_the_path<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let open = Request::get("/?path=/admin").from_client(LISTED);
    assert_eq!(bench.send(&open).status, 200);
    let guarded = Request::get("/admin?/../").from_client(LISTED);
    assert_eq!(bench.send(&guarded).status, 403);
}

pub fn absolute_form_is_read_by_its_path<D: Driver>() {
    let bench = Setup::new().serve::<D>();
    let absolute = Request::get("http://elsewhere.example/admin").from_client(LISTED);
    let status = bench.send(&absolute).status;
    assert!(matches!(status, 403 | 400), "{status}");
    assert_eq!(bench.handled(), 0);
}

//! Starting, refusing, ending.

use std::io::ErrorKind;
use std::net::TcpStream;

use ipwhois_guard_testkit::{Behaviour, StandIn};

use crate::client::{Client, ip, start};

#[test]
fn the_urls_lead_to_the_socket() {
    let service = start();
    let addr = service.addr();
    assert!(addr.ip().is_loopback());
    assert_eq!(service.url(), format!("http://{addr}/api"));
    assert_eq!(service.feed_url(), format!("http://{addr}/feed.txt"));
}

#[test]
fn refusing_closes_everything_and_accepting_opens_the_same_port() {
    let service = start();
    service.list(ip("25.0.0.1"), 95);
    let mut idle = Client::of(&service);
    idle.check("26.0.0.1");
    let mut busy = Client::of(&service);
    service.behave(Behaviour::Hang);
    busy.send_check("26.0.0.1");
    for _ in 0..2 {
        service.refuse_connections();
        assert_eq!(service.open_connections(), 0);
        let error = TcpStream::connect(service.addr()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
    assert!(idle.try_reply().is_err());
    assert!(busy.try_reply().is_err());

    service.recover();
    for _ in 0..2 {
        service.accept_connections();
        assert!(Client::of(&service).check("25.0.0.1").body.contains("true"));
    }
}

#[test]
fn the_last_handle_ends_the_service() {
    let service = start();
    service.behave(Behaviour::Hang);
    let clone = service.clone();
    let mut client = Client::of(&service);
    client.send_check("26.0.0.1");
    let addr = service.addr();
    drop(service);
    assert!(TcpStream::connect(addr).is_ok());
    drop(clone);
    assert!(client.try_reply().is_err());
    let error = TcpStream::connect(addr).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn it_starts_and_ends_inside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let service = start();
        Client::of(&service).check("26.0.0.1");
        service.checks_reach(1).await;
        service.refuse_connections();
    });
}

#[test]
fn a_taken_port_is_an_error() {
    let service = start();
    let error = StandIn::start_on(service.addr().port()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn debug_shows_where_it_is() {
    let service = start();
    assert!(format!("{service:?}").contains(&service.url()));
    fn shareable<T: Send + Sync + Clone + 'static>(_: &T) {}
    shareable(&service);
}

//! TLS with an authority that is known.
//!
//! The client takes the authorities from the file in `SSL_CERT_FILE`, and a process has its
//! environment from the start: the test runs itself anew in another one.
//!
//! The files were made so:
//!
//! ```sh
//! openssl ecparam -name prime256v1 -genkey -noout -out ca.key
//! openssl req -x509 -new -key ca.key -subj "/CN=test authority" -days 36500 -out ca.pem \
//!   -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
//! openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out server.key
//! openssl req -new -key server.key -subj "/CN=test server" -out server.csr
//! printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n' > extensions
//! openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 36500 -extfile extensions -out server.pem
//! ```

use std::process::Command;

use super::promises::call_everything;
use super::server::{Server, TLS, back, listens_at, store, until};

const NAME: &str = "tls::servers_with_a_certificate_by_a_known_authority_are_used";

#[tokio::test]
async fn servers_with_a_certificate_by_a_known_authority_are_used() {
    let ca = format!("{TLS}/ca.pem");
    if std::env::var("SSL_CERT_FILE").as_ref() != Ok(&ca) {
        let program = std::env::current_exe().expect("this program");
        let output = Command::new(program)
            .args(["--exact", NAME])
            .env("SSL_CERT_FILE", &ca)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    let mut server = Server::new(&[]).with_tls_port();
    server.run();
    check(&server, &format!("rediss://{}", server.address())).await;

    let settings = format!("sentinel monitor main 127.0.0.1 {} 1\n", server.port());
    let mut sentinel = Server::new(&["--sentinel"])
        .with_file(&settings)
        .with_tls_port();
    sentinel.run();
    let url = format!("rediss+sentinel://{}/main", sentinel.address());
    check(&server, &url).await;

    let mut node =
        Server::new(&["--cluster-enabled", "yes", "--tls-cluster", "yes"]).with_tls_port();
    node.run();
    let _: () = node.does(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    until("the cluster is up", || async {
        let info: String = node.does(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok").then_some(())
    })
    .await;
    check(&node, &format!("rediss+cluster://{}", node.address())).await;
}

async fn check(server: &Server, url: &str) {
    let _: () = server.does(&["FLUSHALL"]);
    let store = store(url);
    back(&*store).await;
    call_everything(&*store).await;
    listens_at(server, &*store).await;
}

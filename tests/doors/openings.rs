//! What is open: health always, everything without doors; and what a setting closes for all.

use std::{fs, sync::Arc};

use readstates::{
    clock::Clock,
    config::{Config, Durability},
    server::{Server, StartError},
    store::MemoryStore,
};
use tonic::Code;

use crate::{
    credential::Credential,
    house::{CALLERS, House, file},
    methods::{guarded, open},
};

const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

#[tokio::test]
async fn health_asks_nobody_who_he_is() {
    let house = House::open().await;
    let wrong = [
        Credential::Nothing,
        Credential::Header("Basic x"),
        Credential::TokenOf("nobody"),
        Credential::TokenOf("expired"),
    ];
    for credential in wrong {
        for (path, message) in open() {
            let called = house.call(path, &credential, message).await;
            called.unwrap_or_else(|status| panic!("{path} with {credential:?}: {status}"));
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_callers_file_everyone_calls_everything() {
    let house = House::with("", Clock::system(), |config| config.callers_file = None).await;
    for credential in [Credential::Nothing, Credential::TokenOf("nobody")] {
        for method in guarded() {
            // Some find nothing that they could do, which is no refusal.
            let called = house.call(method.path, &credential, (method.message)(1)).await;
            let code = called.err().map_or(Code::Ok, |status| status.code());
            assert!(matches!(code, Code::Ok | Code::NotFound), "{}: {code}", method.path);
        }
    }
    assert_eq!(house.metric("readstates_callers").await, 0.0);
    house.close().await;
}

#[tokio::test]
async fn reflection_can_be_closed_for_all() {
    let close = |config: &mut Config| config.reflection = false;
    let house = House::with(&file(&CALLERS), Clock::system(), close).await;
    for method in guarded().iter().filter(|method| method.path.contains("Reflection")) {
        let admin = Credential::TokenOf("admin");
        let called = house.call(method.path, &admin, (method.message)(1)).await;
        assert_eq!(called.expect_err("it is closed").code(), Code::Unimplemented);
    }
    let called = house.call(REFLECTION, &Credential::Nothing, Vec::new()).await;
    assert_eq!(called.expect_err("nobody asks").code(), Code::Unauthenticated);
    house.close().await;
}

#[tokio::test]
async fn metrics_can_be_closed_and_probes_stay() {
    let close = |config: &mut Config| config.metrics = false;
    let house = House::with(&file(&CALLERS), Clock::system(), close).await;
    assert!(house.get("/metrics").await.starts_with("HTTP/1.1 404 "));
    for page in ["/livez", "/readyz"] {
        assert!(house.get(page).await.starts_with("HTTP/1.1 200 "), "{page}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_callers_file_that_is_wrong_lets_no_server_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("callers.toml");
    fs::write(&path, "[[caller]]\nname = \"a\"\n").expect("it is written");
    let mut config = Config::default();
    config.admin_listen = ([127, 0, 0, 1], 0).into();
    config.listen = config.admin_listen.into();
    config.durability = Durability::Memory;
    config.callers_file = Some(path);
    let store = Arc::new(MemoryStore::new());
    let refused = Server::start_on(config, Clock::system(), store).await.err();
    let Some(StartError::Callers(errors)) = &refused else { panic!("{refused:?}") };
    assert_eq!(errors.errors.len(), 2, "{errors}");
    assert!(refused.is_some_and(|error| error.is_of_configuration()));
}

//! Doors of the built program: from `readstates token` to a call, and nothing secret in the log.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::{
    grpcio::run_client,
    program::program,
    server::Server,
    tool::{run, succeeds, text, tool},
};

/// A folder with a callers file and with tokens.
struct Desk(TempDir);

/// A caller's token, and the file that has it.
struct Token {
    text: String,
    digest: String,
    file: PathBuf,
}

impl Desk {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What the program printed.
    fn run(&self, environment: &[(&str, &str)], words: &[&str]) -> Output {
        run(program(self.0.path()).envs(environment.iter().copied()).args(words))
    }

    fn token(&self, name: &str) -> Token {
        let [out, _] = text(&self.run(&[], &["token"]));
        let (token, line) = out.trim_end().split_once('\n').expect("two lines");
        let digest = line.strip_prefix("token_sha256 = \"").and_then(|line| line.strip_suffix('"'));
        let (text, digest) = (token.to_owned(), digest.expect("a line of the file").to_owned());
        let file = self.path(name);
        fs::write(&file, format!("{text}\n")).expect("it is written");
        Token { text, digest, file }
    }

    fn callers(&self, callers: &[(&str, &str, &Token)]) -> PathBuf {
        let path = self.path("callers.toml");
        let entry = |(name, role, token): &(&str, &str, &Token)| {
            let digest = &token.digest;
            format!("[[caller]]\nname = {name:?}\nroles = [{role:?}]\ntoken_sha256 = {digest:?}\n")
        };
        fs::write(&path, callers.iter().map(entry).collect::<String>()).expect("it is written");
        path
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

#[tokio::test]
async fn a_token_calls_and_is_never_logged() {
    let desk = Desk::new();
    let (good, wrong) = (desk.token("good"), desk.token("wrong"));
    let callers = desk.callers(&[("a-gateway", "writer", &good)]);
    let flags = [flag("callers-file", &callers), "--log-filter=trace".to_owned()];
    let server = Server::with(&flags.each_ref().map(String::as_str));
    let target = format!("--target=http://{}", server.grpc());
    let ack = ["ack", &target, "1", "2", "3"];
    let ran = |environment: &[(&str, &str)], words: &[&str]| {
        let output = desk.run(environment, &[&ack[..], words].concat());
        (output.status.code(), text(&output).concat())
    };
    let by_file = |token: &Token| ran(&[], &[&flag("token-file", &token.file)]);
    assert_eq!(by_file(&good).0, Some(0));
    assert_eq!(ran(&[("READSTATES_TOKEN", &good.text)], &[]).0, Some(0));
    for (code, said) in [by_file(&wrong), ran(&[("READSTATES_TOKEN", &wrong.text)], &[])] {
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("UNAUTHENTICATED NO_CREDENTIALS: these credentials"), "{said}");
        assert!(!said.contains(&wrong.text), "{said}");
    }
    assert!(ran(&[], &[]).1.contains("UNAUTHENTICATED NO_CREDENTIALS: this server asks"));
    let get = ["get", &target, "1", "2", &flag("token-file", &good.file)];
    let said = text(&desk.run(&[], &get)).concat();
    assert!(said.contains("PERMISSION_DENIED ROLE: this method needs the role reader"), "{said}");
    let health = desk.run(&[], &["health", &target]);
    assert!(health.status.success(), "{health:?}");
    let log = server.terminate().await.log;
    assert!(log.iter().any(|line| line.contains("a-gateway")), "who was refused is told at debug");
    for secret in [&good, &wrong].iter().flat_map(|token| [&token.text, &token.digest]) {
        let line = log.iter().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "a secret is logged");
    }
}

#[tokio::test]
async fn every_command_takes_a_token() {
    let desk = Desk::new();
    let admin = desk.token("admin");
    let callers = desk.callers(&[("an-operator", "admin", &admin)]);
    let server = Server::with(&[&flag("callers-file", &callers)]);
    let target = format!("--target=http://{}", server.grpc());
    let dump = flag("output", &desk.path("dump.ndjson"));
    let file = desk.path("dump.ndjson");
    let file = file.to_str().expect("UTF-8");
    for words in [
        &["ack", "1", "2", "3"][..],
        &["increment", "1", "2", "4"],
        &["reset", "1", "2"],
        &["get", "1", "2"],
        &["list", "1"],
        &["watch", "1", "--since", "0", "--limit", "1"],
        &["dump", &dump],
        &["load", file],
        &["verify"],
        &["verify", file],
        &["bench", "--duration", "200ms", "--warm-up", "0s", "--users", "10", "--fill"],
        &["bench", "--duration", "200ms", "--warm-up", "0s", "--users", "10", "--stream"],
    ] {
        let words = [words, &[&target]].concat();
        let refused = desk.run(&[], &words);
        assert_ne!(refused.status.code(), Some(0), "{words:?} needs no token");
        let environment = [("READSTATES_TOKEN_FILE", admin.file.to_str().expect("UTF-8"))];
        let output = desk.run(&environment, &words);
        let said = text(&output).concat();
        assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
    }
}

#[test]
fn a_callers_file_that_is_wrong_is_bad_configuration() {
    let desk = Desk::new();
    let path = desk.path("callers.toml");
    fs::write(&path, "[[caller]]\nname = \"a-gateway\"\nroles = [\"root\"]\n")
        .expect("it is written");
    for file in [&path, &desk.path("none.toml")] {
        let output = desk.run(&[], &["serve", &flag("callers-file", file)]);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
    }
    let said = text(&desk.run(&[], &["serve", &flag("callers-file", &path)])).concat();
    assert!(said.contains("line 3: caller") && said.contains("a-gateway"), "{said}");
}

#[test]
fn grpcurl_reflects_and_calls_with_a_token_only() {
    let Some(grpcurl) = tool("grpcurl", "install github.com/fullstorydev/grpcurl/cmd/grpcurl")
    else {
        return;
    };
    let desk = Desk::new();
    let reader = desk.token("reader");
    let callers = desk.callers(&[("a-reader", "reader", &reader)]);
    let server = Server::with(&[&flag("callers-file", &callers)]);
    let header = format!("authorization: Bearer {}", reader.text);
    let with = |headers: &[&str], words: &[&str]| {
        let mut command = Command::new(&grpcurl);
        command.arg("-plaintext").args(headers).args(words);
        command
    };
    let list = [server.grpc(), "list"];
    let listed = succeeds(&mut with(&["-H", &header], &list));
    assert!(listed.contains("readstates.v1.ReadStatesService"), "{listed}");
    let told = text(&run(&mut with(&[], &list))).concat();
    assert!(told.contains("asks who calls"), "{told}");
    let method = |name| format!("readstates.v1.ReadStatesService/{name}");
    let ack = r#"{"user_id": 1, "channel_id": 2, "message_id": 3}"#;
    let acking = run(&mut with(&["-H", &header, "-d", ack], &[server.grpc(), &method("Ack")]));
    let told = text(&acking).concat();
    for part in ["PermissionDenied", "needs the role writer", "google.rpc.ErrorInfo", "\"ROLE\""] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let whose = ["-H", &header, "-d", r#"{"user_id": 1}"#];
    succeeds(&mut with(&whose, &[server.grpc(), &method("List")]));
}

#[test]
fn grpcio_loses_its_watch_with_its_token() {
    let desk = Desk::new();
    let (reader, other) = (desk.token("reader"), desk.token("other"));
    let callers = desk.callers(&[("another", "admin", &other)]);
    let without_it = desk.path("without-it.toml");
    fs::rename(&callers, &without_it).expect("it is moved");
    let callers = desk.callers(&[("a-reader", "reader", &reader)]);
    let [file, without_it] = [&callers, &without_it].map(|path| path.to_str().expect("UTF-8"));
    let flags = [&flag("callers-file", &callers), "--callers-check-every=50ms"];
    run_client("doors.py", &flags, &[&reader.text, file, without_it]);
}

//! `readstates config`: what a server would be started with, told without starting one.

use std::{fs, path::Path, process::Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    authority::Authority,
    program::program,
    tool::{run, text},
};

const PASSWORD: &str = "hunter2-and-more";

/// A directory with a configuration file and a password.
fn home(settings: &str) -> TempDir {
    let home = TempDir::new().expect("there is room for a directory");
    fs::write(home.path().join("server.toml"), settings).expect("it is written");
    fs::write(home.path().join("password"), PASSWORD).expect("it is written");
    home
}

fn config(home: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    run(program(home).arg("config").args(arguments).envs(variables.iter().copied()))
}

/// What it printed, which must be all of it, and nothing else may be said.
#[track_caller]
fn told(output: &Output) -> String {
    let [stdout, stderr] = text(output);
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{stdout}");
    stdout
}

/// The settings of `config print --json` by key.
#[track_caller]
fn settings(output: &Output) -> Vec<(String, Value)> {
    let list: Value = serde_json::from_str(&told(output)).expect("it is JSON");
    let list = list.as_array().expect("it is a list").iter();
    list.map(|object| (object["key"].as_str().expect("a key").to_owned(), object.clone())).collect()
}

fn values(settings: &[(String, Value)]) -> Vec<(&str, &Value)> {
    settings.iter().map(|(key, object)| (key.as_str(), &object["value"])).collect()
}

#[test]
fn what_is_printed_tells_its_origins_and_makes_the_same_configuration_again() {
    let home = home("max-keys = 7\nmax-items = 8\ncassandra-password-file = \"password\"\n");
    let variables = [("READSTATES_MAX_ITEMS", "9"), ("READSTATES_CONFIG", "server.toml")];
    let flags = ["--cassandra-user=chat", "--cache-entries=2000", "--listen=127.0.0.1:7000"];
    let printed = told(&config(home.path(), &variables, &[&["print"], &flags[..]].concat()));
    for line in [
        "max-keys = 7  # file server.toml, line 1",
        "max-items = 9  # variable READSTATES_MAX_ITEMS",
        "listen = \"127.0.0.1:7000\"  # flag --listen",
        "dirty-limit = \"auto\"  # here 1000",
        "durability = \"journal\"",
    ] {
        assert!(printed.lines().any(|found| found == line), "{line:?} is not in:\n{printed}");
    }
    let print = [&["print", "--json"], &flags[..]].concat();
    let first = settings(&config(home.path(), &variables, &print));
    fs::write(home.path().join("again.toml"), &printed).expect("it is written");
    let print = ["print", "--json", "--config=again.toml"];
    let again = settings(&config(home.path(), &[], &print));
    assert_eq!(values(&again), values(&first));
}

#[test]
fn what_is_in_a_file_of_a_secret_is_never_told() {
    let home = home("");
    let password = ["--cassandra-password-file=password", "--cassandra-user=chat"];
    let cases: [&[&str]; 8] = [
        &["print"],
        &["print", "--origin"],
        &["print", "--json"],
        &["check", "--store=cassandra"],
        &["check", "--shards=many"],
        &["check", "--store=cassandra", "--cassandra-ca-file=password"],
        &["check", "--callers-file=password"],
        &["check", "--tls-cert-file=password", "--tls-key-file=password"],
    ];
    for case in cases {
        let output = config(home.path(), &[], &[case, &password[..]].concat());
        let [stdout, stderr] = text(&output);
        assert!(!stdout.contains(PASSWORD) && !stderr.contains(PASSWORD), "{stdout}{stderr}");
    }
}

#[test]
fn a_valid_configuration_is_ok_and_nothing_is_made() {
    let home = home("flush-after = \"5s\"\n");
    let output = config(home.path(), &[], &["check", "--config=server.toml"]);
    assert_eq!(told(&output), "ok\n");
    assert!(!home.path().join("data").exists());
}

/// Asserts exit code 64, all of `words` on stderr, and nothing on stdout.
#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let [stdout, stderr] = text(output);
    assert_eq!((output.status.code(), stdout.as_str()), (Some(64), ""), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in:\n{stderr}");
    }
}

#[test]
fn all_that_is_wrong_is_told_with_64() {
    let home = home("shards = \"many\"\nflush_after = 1\n");
    let flags = ["--config=server.toml", "--cassandra-key-file=missing"];
    let words =
        ["shards = \"many\" (file server.toml, line 1)", "flush-after?", "it cannot be read"];
    for command in ["check", "print"] {
        refused(&config(home.path(), &[], &[&[command], &flags[..]].concat()), &words);
        let missing = config(home.path(), &[], &[command, "--config=missing.toml"]);
        refused(&missing, &["file missing.toml: cannot be read"]);
    }
}

#[test]
fn what_settings_name_is_looked_at() {
    let home = home("");
    let flags = ["--store=cassandra", "--cassandra-ca-file=password", "--data-dir=password"];
    let words = [
        "cassandra-ca-file = \"password\" (flag --cassandra-ca-file): password cannot be used",
        "data-dir = \"password\" (flag --data-dir): password is there and is no directory",
    ];
    refused(&config(home.path(), &[], &[&["check"], &flags[..]].concat()), &words);
    let doors = ["--callers-file=password", "--tls-cert-file=password", "--tls-key-file=password"];
    let words = [
        "callers-file = \"password\" (flag --callers-file): the callers file password is refused",
        "tls-cert-file = \"password\" (flag --tls-cert-file): password",
    ];
    refused(&config(home.path(), &[], &[&["check"], &doors[..]].concat()), &words);
    let [cert, _] = Authority::new().server().write(home.path());
    let cert = format!("--tls-cert-file={}", cert.display());
    let words = ["tls-key-file = \"password\" (flag --tls-key-file): password"];
    refused(&config(home.path(), &[], &["check", &cert, doors[2]]), &words);
    // Without a cluster nobody reads the one, and with a store in memory nobody makes the other.
    told(&config(home.path(), &[], &["check", "--store=memory", flags[1], flags[2]]));
}

#[test]
fn the_sample_is_a_valid_file() {
    let home = home("");
    let sample = told(&config(home.path(), &[], &["sample"]));
    fs::write(home.path().join("sample.toml"), sample).expect("it is written");
    let output = config(home.path(), &[], &["check", "--config=sample.toml"]);
    assert_eq!(told(&output), "ok\n");
}

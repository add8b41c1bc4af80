//! What a configuration is made of, from text to `Config`.

use std::{collections::HashSet, time::Duration};

use clap::{ArgMatches, Command};

use super::*;

const NONE: [(&str, &str); 0] = [];

fn flags(flags: &[&str]) -> ArgMatches {
    let command = Command::new("serve").args(args());
    command.try_get_matches_from([&["serve"], flags].concat()).expect("flags parse")
}

fn file(text: &str) -> ConfigFile {
    ConfigFile { name: "readstates.toml".to_owned(), text: text.to_owned() }
}

fn refused(given: &[&str], variables: &[(&str, &str)], text: &str) -> String {
    let variables = variables.iter().copied();
    let refused = Config::load(&flags(given), variables, Some(&file(text)));
    refused.expect_err("it must be refused").to_string()
}

#[test]
fn nothing_given_means_the_documented_defaults() {
    let config = Config::load(&flags(&[]), NONE, None).expect("defaults are valid");
    assert_eq!(config, Config::default());
    assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(config.admin_listen.to_string(), "127.0.0.1:9090");
    assert_eq!(config.store, StoreKind::Embedded);
    assert_eq!(config.data_dir.to_str(), Some("./data"));
    assert_eq!(config.durability, Durability::Journal);
    assert_eq!((config.journal_size, config.journal_segment_size), (1 << 30, 64 << 20));
    assert_eq!((config.cache_entries, config.cache_memory), (None, 512 << 20));
    assert_eq!((config.shards, config.dirty_limit), (None, None));
    assert_eq!(config.flush_after, Duration::from_secs(30));
    assert_eq!(config.tombstone_ttl, Duration::from_secs(30 * 86_400));
    assert_eq!(config.drain_timeout, Duration::from_secs(20));
    assert_eq!(config.flush_timeout, Duration::from_secs(60));
    assert_eq!(config.log_format, LogFormat::Auto);
    assert_eq!(config.log_filter, "info,fjall=warn,lsm_tree=warn");
    assert_eq!((config.max_request_bytes, config.max_items), (1 << 20, 10_000));
    assert_eq!((config.max_keys, config.max_page_size), (1_000, 10_000));
    assert_eq!((config.runtime, config.serve_threads), (RuntimeForm::PerCore, None));
    assert_eq!((config.max_concurrent_loads, config.max_concurrent_streams), (256, 1024));
    assert_eq!((config.max_watched_users, config.max_watch_queue), (250_000, 16_384));
    assert_eq!(config.watch_memory, 64 << 20);
    assert_eq!((config.flush_batch_rows, config.store_cache_memory), (4096, 64 << 20));
}

#[test]
fn the_sample_file_parses_to_the_defaults() {
    let sample = sample();
    let config = Config::load(&flags(&[]), NONE, Some(&file(&sample))).expect("it is valid");
    assert_eq!(config, Config::default());
    for setting in settings() {
        assert!(sample.contains(&format!("\n{} = ", setting.key)), "{}", setting.key);
    }
    assert!(sample.lines().all(|line| line.len() <= 90));
}

#[test]
fn flag_goes_before_variable_before_file_before_default() {
    let text = "shards = 1\nmax-items = 1\nmax-keys = 1\n";
    let variables = [("READSTATES_SHARDS", "2"), ("READSTATES_MAX_ITEMS", "2")];
    let given = flags(&["--shards", "3"]);
    let config = Config::load(&given, variables, Some(&file(text))).expect("it is valid");
    assert_eq!((config.shards, config.max_items, config.max_keys), (Some(3), 2, 1));
    assert_eq!(config.max_page_size, 10_000);
}

#[test]
fn every_setting_is_taken_from_flag_variable_and_file() {
    for setting in settings() {
        let absurd = "\u{1}absurd\0";
        let text = format!("{} = \"\\u0001absurd\\u0000\"", setting.key);
        let flag = format!("{}={absurd}", setting.flag());
        for (given, variables, text, origin) in [
            (vec![flag.as_str()], vec![], "", format!("flag {}", setting.flag())),
            (vec![], vec![(setting.variable(), absurd)], "", setting.variable()),
            (vec![], vec![], text.as_str(), "file readstates.toml, line 1".to_owned()),
        ] {
            let file = file(text);
            let errors = Config::load(&flags(&given), variables, Some(&file))
                .expect_err("no setting takes such a value");
            let [error] = errors.0.as_slice() else { panic!("one error, not {errors}") };
            assert_eq!(error.key.as_deref(), Some(setting.key));
            assert_eq!(error.value.as_deref(), Some(absurd));
            assert!(error.origin.to_string().contains(&origin), "{error}");
        }
    }
}

#[test]
fn all_errors_are_told_at_once_with_key_value_origin_and_what_is_allowed() {
    let text = "max-items = 0\nflush_after = \"1s\"\n[cache]\nentries = 5\n";
    let words = refused(
        &["--flush-after=0s", "--durability=disk", "--store=postgres", "--runtime=one"],
        &[("READSTATES_LISTEN", "nowhere"), ("READSTATES_SHARDS", "many")],
        text,
    );
    let expected = [
        "flush_after (file readstates.toml, line 2): there is no such setting; did you mean \
         flush-after?",
        "cache (file readstates.toml, line 3): there is no such setting",
        "max-items = \"0\" (file readstates.toml, line 1): allowed is a number from 1 to 1000000",
        "listen = \"nowhere\" (variable READSTATES_LISTEN): allowed is an IP address with a port",
        "shards = \"many\" (variable READSTATES_SHARDS): allowed is a number from 1 to 65536, or",
        "flush-after = \"0s\" (flag --flush-after): allowed is a duration from 1ms to 1day",
        "durability = \"disk\" (flag --durability): allowed is one of journal, memory, store",
        "runtime = \"one\" (flag --runtime): allowed is one of per-core, shared",
        "store = \"postgres\" (flag --store): allowed is one of embedded, memory, cassandra",
    ];
    for line in expected {
        assert!(words.contains(line), "{line:?} is not in:\n{words}");
    }
    assert_eq!(words.lines().count(), 1 + expected.len(), "{words}");
}

#[test]
fn a_value_that_is_hidden_by_a_higher_layer_is_not_judged() {
    let given = flags(&["--shards", "4"]);
    let config = Config::load(&given, [("READSTATES_SHARDS", "many")], None).expect("it is valid");
    assert_eq!(config.shards, Some(4));
}

#[test]
fn variables_that_name_no_setting_are_ignored() {
    let variables = [("READSTATES_PORT", "tcp://10.0.0.1:50051"), ("PATH", "/bin")];
    let config = Config::load(&flags(&[]), variables, None).expect("it is valid");
    assert_eq!(config, Config::default());
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;
    let value = OsString::from_vec(vec![b'a', 0xff]);
    let errors = Config::load(&flags(&[]), [("READSTATES_DATA_DIR", value)], None)
        .expect_err("it must be refused");
    assert!(errors.to_string().contains("data-dir = \"a\u{fffd}\" (variable READSTATES_DATA_DIR)"));
}

#[test]
fn the_cache_is_sized_one_way_only() {
    let words = refused(&["--cache-entries", "10"], &[], "cache-memory = \"1GiB\"");
    assert!(words.contains("cache-memory = \"1GiB\" (file readstates.toml, line 1)"), "{words}");
    assert!(words.contains("not both"), "{words}");
    let given = flags(&["--cache-entries", "2000", "--dirty-limit", "2000"]);
    let config = Config::load(&given, NONE, None).expect("it is valid");
    assert_eq!((config.cache_entries, config.dirty_limit), (Some(2000), Some(2000)));
}

#[test]
fn a_dirty_limit_above_the_capacity_is_refused() {
    let words = refused(&["--cache-entries=10", "--dirty-limit=11"], &[], "");
    assert!(words.contains("dirty-limit = \"11\" (flag --dirty-limit)"), "{words}");
    assert!(words.contains("at most cache-entries, which is 10"), "{words}");
}

#[test]
fn the_two_ports_must_differ_unless_both_are_picked() {
    let same = "127.0.0.1:7000";
    let words = refused(&["--listen", same, "--admin-listen", same], &[], "");
    assert!(words.contains("any address but that of listen"), "{words}");
    let free = flags(&["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    assert!(Config::load(&free, NONE, None).is_ok());
}

#[test]
fn broken_toml_and_wrong_types_name_the_line() {
    let words = refused(&[], &[], "shards = 1\nmax-items = \n");
    assert!(words.contains("file readstates.toml, line 2: is not TOML"), "{words}");
    let words = refused(&[], &[], "\nshards = [1]\nmax-keys = true\n");
    assert!(words.contains("shards (file readstates.toml, line 2): allowed is a string, a"));
    assert!(words.contains("max-keys = \"true\" (file readstates.toml, line 3)"), "{words}");
}

#[test]
fn a_file_may_write_numbers_in_the_ways_of_toml() {
    let text = "max-items = 0x10\nmax-keys = 1_000\nshards = 0\n";
    let config = Config::load(&flags(&[]), NONE, Some(&file(text))).expect("it is valid");
    assert_eq!((config.max_items, config.max_keys, config.shards), (16, 1000, None));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_its_name() {
    let errors = ConfigFile::read(std::path::Path::new("no/such.toml")).expect_err("no such file");
    assert!(errors.to_string().contains("file no/such.toml: cannot be read"));
}

#[test]
fn the_help_tells_default_and_variable_of_every_flag() {
    let help = Command::new("serve").term_width(0).args(args()).render_long_help().to_string();
    let words: HashSet<&str> = help.split_whitespace().collect();
    for setting in settings() {
        let flag = setting.flag();
        // A switch may go without its value.
        let is_there = words.contains(flag.as_str()) || help.contains(&format!("{flag}[="));
        assert!(is_there, "{flag}");
        assert!(help.contains(&format!("[default: {}]", setting.default)), "{}", setting.key);
        assert!(words.contains(format!("{}]", setting.variable()).as_str()), "{}", setting.key);
    }
}

#[test]
fn a_command_without_settings_still_takes_variables() {
    let matches = Command::new("other").get_matches_from(["other"]);
    let config = Config::load(&matches, [("READSTATES_SHARDS", "7")], None).expect("it is valid");
    assert_eq!(config.shards, Some(7));
}

#[test]
fn standing_by_takes_no_value_and_needs_a_store_that_others_share() {
    let given = flags(&["--standby", "--store", "cassandra"]);
    let config = Config::load(&given, NONE, None).expect("it is valid");
    assert_eq!((config.standby, config.store), (true, StoreKind::Cassandra));
    let text = "standby = false\n";
    let config = Config::load(&flags(&[]), NONE, Some(&file(text))).expect("it is valid");
    assert!(!config.standby);
    assert!(refused(&["--standby"], &[], "").contains("only services that share a cluster"));
    for flags in
        [["--tombstone-ttl=59m", "--flush-after=1s"], ["--tombstone-ttl=2h", "--flush-after=61m"]]
    {
        let words = refused(&[&flags[..], &["--store=cassandra"]].concat(), &[], "");
        assert!(words.contains("1h or more, and twice flush-after"), "{words}");
    }
}

#[test]
fn what_belongs_together_about_a_cluster_is_given_together() {
    let words = refused(&["--cassandra-user=chat"], &[], "");
    assert!(words.contains("both of cassandra-user and cassandra-password-file"), "{words}");
    let here = file!();
    let words = refused(&["--cassandra-cert-file", here], &[], "");
    assert!(words.contains("both of cassandra-cert-file and cassandra-key-file"), "{words}");
    assert!(words.contains("only beside cassandra-ca-file"), "{words}");
}

#[test]
fn a_journal_buffer_that_no_journal_can_have_is_refused() {
    let words = refused(&["--journal-buffer=17MiB"], &[], "");
    assert!(words.contains("allowed is a size from 1.0 MiB to 16.0 MiB"), "{words}");
}

#[test]
fn a_store_in_memory_keeps_no_journal_and_a_journal_beside_it_is_refused() {
    let given = flags(&["--store=memory"]);
    let config = Config::load(&given, NONE, None).expect("it is valid");
    assert_eq!(config.durability, Durability::Memory);
    let words = refused(&["--store=memory", "--durability=journal"], &[], "");
    assert!(words.contains("with store = memory it cannot be journal"), "{words}");
}

#[test]
fn no_serving_thread_is_none_too_few() {
    let words = refused(&["--serve-threads=0"], &[], "");
    assert!(words.contains("allowed is a number from 1 to 1024, or auto"), "{words}");
    let config = Config::load(&flags(&["--serve-threads=3"]), NONE, None).expect("it is valid");
    assert_eq!(config.serve_threads, Some(3));
}

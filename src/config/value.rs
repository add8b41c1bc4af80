//! Parsers of single values. Each is built with its bounds and refuses with what is allowed.

use std::{
    fs::{self, File},
    net::SocketAddr,
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use bytesize::ByteSize;
use humantime::format_duration;
use tracing_subscriber::EnvFilter;

use super::{Secret, choice::Later};

/// Why a value was refused: a phrase that goes on from "... is refused: ".
pub(super) type Refusal = String;

/// The word that leaves a choice to the server.
const AUTO: &str = "auto";
/// The word for something that is not wanted, or not there.
const NONE: &str = "none";
/// Bytes of a name of CQL at most.
const IDENTIFIER_MAX: usize = 48;

/// A parsed value or what would have been allowed.
pub(super) type Parsed<T> = Result<T, Refusal>;

/// An address to listen on.
pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| {
        "allowed is an IP address with a port, such as 127.0.0.1:50051 or [::]:50051".to_owned()
    })
}

/// A value that says itself what is allowed.
pub(super) fn parsed<T: FromStr<Err = Refusal>>(text: &str) -> Parsed<T> {
    text.parse()
}

/// A path of a directory.
pub(super) fn directory(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() || text.contains('\0') {
        return Err("allowed is the path of a directory, such as ./data".to_owned());
    }
    Ok(PathBuf::from(text))
}

/// Addresses or names of hosts, each with its port.
pub(super) fn hosts(text: &str) -> Parsed<Vec<String>> {
    let is_host = |host: &str| match host.rsplit_once(':') {
        Some((name, port)) => !name.is_empty() && port.parse().is_ok_and(|port: u16| port > 0),
        None => false,
    };
    let hosts: Vec<String> = text.split(',').map(|host| host.trim().to_owned()).collect();
    if hosts.iter().all(|host| is_host(host)) {
        return Ok(hosts);
    }
    Err("allowed are hosts with a port, such as 10.0.0.1:9042,db2.internal:9042".to_owned())
}

/// A name as CQL takes it without quotes.
pub(super) fn identifier(text: &str) -> Parsed<String> {
    let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let is_name = text.bytes().all(is_part) && text.starts_with(|c: char| c.is_ascii_lowercase());
    if is_name && text.len() <= IDENTIFIER_MAX {
        return Ok(text.to_owned());
    }
    Err(format!("allowed are up to {IDENTIFIER_MAX} small letters, digits and _, a letter first"))
}

/// Any line of text that is not empty.
pub(super) fn text(text: &str) -> Parsed<String> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err("allowed is a line of text".to_owned());
    }
    Ok(text.to_owned())
}

/// A file that can be read.
pub(super) fn file(text: &str) -> Parsed<PathBuf> {
    match File::open(text) {
        Ok(_) => Ok(PathBuf::from(text)),
        Err(error) => Err(format!("it cannot be read: {error}")),
    }
}

/// What is in a file, without the end of its line.
pub(super) fn secret(text: &str) -> Parsed<Secret> {
    match fs::read_to_string(text) {
        Ok(secret) => Ok(Secret::new(secret.trim_end_matches(['\n', '\r']))),
        Err(error) => Err(format!("it cannot be read: {error}")),
    }
}

/// Yes or no.
pub(super) fn switch(text: &str) -> Parsed<bool> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("allowed is true or false".to_owned()),
    }
}

/// Directives of a log filter.
pub(super) fn filter(text: &str) -> Parsed<String> {
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            Err(format!("{error}; allowed are directives such as info or readstates=debug,h2=warn"))
        }
    }
}

/// A number within `allowed`.
pub(super) fn count<T>(allowed: RangeInclusive<T>) -> impl Fn(&str) -> Parsed<T>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    move |text| match text.parse() {
        Ok(number) if allowed.contains(&number) => Ok(number),
        _ => Err(format!("allowed is a number from {} to {}", allowed.start(), allowed.end())),
    }
}

/// A duration within `allowed`.
pub(super) fn duration(allowed: RangeInclusive<Duration>) -> impl Fn(&str) -> Parsed<Duration> {
    move |text| match humantime::parse_duration(text) {
        Ok(duration) if allowed.contains(&duration) => Ok(duration),
        _ => Err(format!(
            "allowed is a duration from {} to {}, such as 30s",
            format_duration(*allowed.start()),
            format_duration(*allowed.end())
        )),
    }
}

/// A number of bytes within `allowed`.
pub(super) fn size(allowed: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<u64> {
    move |text| match text.parse::<ByteSize>() {
        Ok(ByteSize(bytes)) if allowed.contains(&bytes) => Ok(bytes),
        _ => Err(format!(
            "allowed is a size from {} to {}, such as 512MiB",
            ByteSize(*allowed.start()),
            ByteSize(*allowed.end())
        )),
    }
}

/// One of `names`; a name of `later` is known but refused with its own words.
pub(super) fn choice<T: Copy + 'static>(
    names: &'static [(&'static str, T)],
    later: &'static [Later],
) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        if let Some((_, value)) = names.iter().find(|(name, _)| *name == text) {
            return Ok(*value);
        }
        if let Some((_, words)) = later.iter().find(|(name, _)| *name == text) {
            return Err((*words).to_owned());
        }
        let allowed: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        Err(format!("allowed is one of {}", allowed.join(", ")))
    }
}

/// `none`, which is `None`, or what `parse` takes.
pub(super) fn none_or<T>(parse: impl Fn(&str) -> Parsed<T>) -> impl Fn(&str) -> Parsed<Option<T>> {
    move |text| match text {
        NONE => Ok(None),
        _ => parse(text).map(Some),
    }
}

/// `auto`, which is `None`, or what `parse` takes.
pub(super) fn auto_or<T>(parse: impl Fn(&str) -> Parsed<T>) -> impl Fn(&str) -> Parsed<Option<T>> {
    move |text| match text {
        AUTO => Ok(None),
        _ => parse(text).map(Some).map_err(|refusal| format!("{refusal}, or {AUTO}")),
    }
}

/// As [`auto_or`], with 0 as a second spelling of `auto`.
pub(super) fn zero_or<T>(parse: impl Fn(&str) -> Parsed<T>) -> impl Fn(&str) -> Parsed<Option<T>> {
    let parse = auto_or(parse);
    move |text| if text == "0" { Ok(None) } else { parse(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_to_their_bounds() {
        let parse = count(1..=10_u64);
        assert_eq!(parse("1"), Ok(1));
        assert_eq!(parse("10"), Ok(10));
        for bad in ["0", "11", "-1", "", "1.5", "ten", "99999999999999999999999"] {
            assert_eq!(parse(bad), Err("allowed is a number from 1 to 10".to_owned()), "{bad:?}");
        }
    }

    #[test]
    fn durations_need_a_unit_and_keep_to_their_bounds() {
        let parse = duration(Duration::from_millis(1)..=Duration::from_secs(86_400));
        assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("1m 30s"), Ok(Duration::from_secs(90)));
        for bad in ["0s", "30", "", "-1s", "2d", "soon"] {
            let refusal = parse(bad).expect_err(bad);
            assert_eq!(refusal, "allowed is a duration from 1ms to 1day, such as 30s");
        }
    }

    #[test]
    fn sizes_take_binary_and_decimal_units() {
        let parse = size(1 << 20..=1 << 40);
        assert_eq!(parse("512MiB"), Ok(512 << 20));
        assert_eq!(parse("1.5 GiB"), Ok(3 << 29));
        assert_eq!(parse("2MB"), Ok(2_000_000));
        for bad in ["0", "1KiB", "", "-5MiB", "MiB", "2 parsecs", "9999999999999TiB"] {
            let refusal = parse(bad).expect_err(bad);
            assert_eq!(refusal, "allowed is a size from 1.0 MiB to 1.0 TiB, such as 512MiB");
        }
    }

    #[test]
    fn a_choice_names_what_is_allowed_and_what_comes_later() {
        let parse = choice(&[("red", 1), ("blue", 2)], &[("green", "no green yet")]);
        assert_eq!(parse("blue"), Ok(2));
        assert_eq!(parse("green"), Err("no green yet".to_owned()));
        assert_eq!(parse("Red"), Err("allowed is one of red, blue".to_owned()));
    }

    #[test]
    fn auto_is_none_and_zero_only_where_it_says_so() {
        let (auto, zero) = (auto_or(count(1..=9_u32)), zero_or(count(1..=9_u32)));
        assert_eq!(auto("auto"), Ok(None));
        assert_eq!(auto("5"), Ok(Some(5)));
        assert_eq!(auto("0"), Err("allowed is a number from 1 to 9, or auto".to_owned()));
        assert_eq!(zero("0"), Ok(None));
        assert_eq!(zero("auto"), Ok(None));
    }

    #[test]
    fn hosts_names_files_and_switches_keep_to_their_form() {
        assert_eq!(hosts("a:1, [::1]:9042"), Ok(vec!["a:1".to_owned(), "[::1]:9042".to_owned()]));
        for bad in ["", "a", "a:", ":1", "a:0", "a:70000", "a:1,,b:2"] {
            assert!(hosts(bad).expect_err(bad).contains("10.0.0.1:9042"));
        }
        assert!(identifier("read_states2").is_ok());
        for bad in ["", "2x", "Chat", "a-b", "a\"", &"x".repeat(49)] {
            assert!(identifier(bad).is_err(), "{bad}");
        }
        assert_eq!((switch("true"), switch("false")), (Ok(true), Ok(false)));
        assert!(switch("yes").is_err());
        assert!(file("/no/such/file").expect_err("it is not there").contains("cannot be read"));
        assert_eq!(none_or(file)("none"), Ok(None));
    }

    #[test]
    fn a_secret_is_what_is_in_its_file_and_is_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        fs::write(&path, "hunter2\n").expect("it is written");
        let secret = secret(path.to_str().expect("UTF-8")).expect("it is read");
        assert_eq!((secret.reveal(), format!("{secret:?}")), ("hunter2", "(secret)".to_owned()));
    }

    #[test]
    fn addresses_paths_and_filters_are_refused_with_an_example() {
        assert!(address("[::1]:0").is_ok());
        for bad in ["localhost:1", "127.0.0.1", "127.0.0.1:70000", ""] {
            assert!(address(bad).expect_err(bad).contains("127.0.0.1:50051"));
        }
        assert!(directory("./data").is_ok());
        assert!(directory("").is_err());
        assert!(filter("info,readstates=debug").is_ok());
        assert!(filter("readstates=loud").expect_err("no such level").contains("such as info"));
    }
}

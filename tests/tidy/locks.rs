//! The fuzz targets have a `Cargo.lock` of their own, and are built of what the server is built of:
//! what is fuzzed is what is shipped, and what was built for one serves the other.

use crate::finding::Finding;

const PATH: &str = "tests/fuzz/Cargo.lock";

/// Every package of the targets that the server has too, but not in that version.
pub fn check(server: &str, targets: &str) -> Vec<Finding> {
    let shipped = packages(server);
    let is_other = |(_, name, version): &(usize, &str, &str)| {
        let mut same_name = shipped.iter().filter(|(_, shipped, _)| shipped == name).peekable();
        same_name.peek().is_some() && !same_name.any(|(.., shipped)| shipped == version)
    };
    let told = |(line, name, version): (usize, &str, &str)| Finding {
        path: PATH.to_owned(),
        line,
        words: format!(
            "{name} {version} is not what the server is built of; cp Cargo.lock {PATH}, and \
             cargo metadata --manifest-path tests/fuzz/Cargo.toml"
        ),
    };
    packages(targets).into_iter().filter(is_other).map(told).collect()
}

/// Line, name and version of each.
fn packages(lock: &str) -> Vec<(usize, &str, &str)> {
    let lines: Vec<_> = lock.lines().collect();
    let pairs = lines.windows(2).enumerate();
    let named = pairs.filter_map(|(at, pair)| {
        let name = pair[0].strip_prefix("name = ")?;
        let version = pair[1].strip_prefix("version = ")?;
        Some((at + 1, name.trim_matches('"'), version.trim_matches('"')))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &[(&str, &str)]) -> String {
        let package = |(name, version): &(&str, &str)| {
            format!("[[package]]\nname = {name:?}\nversion = {version:?}\n\n")
        };
        packages.iter().map(package).collect()
    }

    #[test]
    fn another_version_is_told_and_another_package_is_not() {
        let server = lock(&[("a", "1.0.0"), ("b", "1.0.0"), ("b", "2.0.0")]);
        assert_eq!(check(&server, &lock(&[("b", "2.0.0"), ("fuzzer", "0.4.0")])), []);
        let found = check(&server, &lock(&[("b", "1.0.0"), ("a", "1.0.1")]));
        assert_eq!(found.len(), 1);
        assert!(found[0].line == 6 && found[0].words.starts_with("a 1.0.1 is"), "{found:?}");
    }
}

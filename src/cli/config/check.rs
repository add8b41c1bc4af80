//! What keeps a server from starting that shows without starting it, beyond the settings
//! themselves: files that are named, and the data directory.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use crate::{
    config::{Config, ConfigErrors, Durability, Effective, StoreKind},
    doors::Callers,
    edge::Tls,
    store::CassandraOptions,
};

/// Looks and changes nothing; nor does it speak to anyone.
pub(super) fn check(effective: &Effective) -> Result<(), ConfigErrors> {
    let mut wrong = Vec::new();
    let config = &effective.config;
    if config.store == StoreKind::Cassandra {
        wrong.extend(CassandraOptions::of(config).check_files());
    }
    let tls = Tls::check(config).err();
    wrong.extend(tls.map(|error| (tls_setting(config, error.path()), error.to_string())));
    let callers = config.callers_file.as_ref().and_then(|path| Callers::read(path).err());
    wrong.extend(callers.map(|errors| ("callers-file", errors.to_string())));
    if needs_directory(config) {
        let problem = check_directory(&config.data_dir).err();
        wrong.extend(problem.map(|problem| ("data-dir", problem)));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => {
            let errors = wrong.into_iter().map(|(key, problem)| effective.error(key, problem));
            Err(ConfigErrors(errors.collect()))
        }
    }
}

/// The setting that names this file of TLS, the first of those that do.
fn tls_setting(config: &Config, path: &Path) -> &'static str {
    let (cert, key) = (&config.tls_cert_file, &config.tls_key_file);
    let mut files = [("tls-cert-file", cert), ("tls-key-file", key)].into_iter();
    let named = files.find(|(_, file)| file.as_deref() == Some(path));
    named.map_or("tls-client-ca-file", |(setting, _)| setting)
}

fn needs_directory(config: &Config) -> bool {
    config.store == StoreKind::Embedded || config.durability == Durability::Journal
}

/// It has to be there, or to be makeable where the nearest directory above it is.
fn check_directory(path: &Path) -> Result<(), String> {
    // Of a path without a parent, such as `data`, the empty one is where the process is.
    let place = |path: &Path| match path.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => path.to_owned(),
    };
    for ancestor in path.ancestors().map(place) {
        match ancestor.metadata() {
            Ok(found) if !found.is_dir() => {
                return Err(format!("{} is there and is no directory", ancestor.display()));
            }
            Ok(_) => {
                let allowed = access(&ancestor, Access::WRITE_OK | Access::EXEC_OK);
                let refused = |error| format!("{} cannot be written: {error}", ancestor.display());
                return allowed.map_err(io::Error::from).map_err(refused);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{} cannot be used: {error}", ancestor.display())),
        }
    }
    Err("there is no directory above it".to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_is_there_or_can_be_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        for path in ["", "new", "new/within/new"] {
            assert_eq!(check_directory(&root.join(path)), Ok(()), "{path:?}");
        }
        assert_eq!(check_directory(Path::new("no-such-thing")), Ok(()), "where the process is");
        assert!(!root.join("new").exists(), "nothing was made");
        fs::write(root.join("file"), "").expect("it is written");
        let problem = check_directory(&root.join("file")).expect_err("it is a file");
        assert!(problem.ends_with("file is there and is no directory"), "{problem}");
        let problem = check_directory(&root.join("file/within")).expect_err("it is in a file");
        assert!(problem.contains("cannot be used"), "{problem}");
    }
}

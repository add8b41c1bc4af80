//! Configuration: raw text from flags, variables and a file becomes a validated [`Config`], or
//! everything that is wrong with it at once.
//!
//! `table` lists the settings; `layers` lays flag > variable > file > default over each other;
//! `reader` parses what remains; `effective` tells it back. Flags, sample file and messages are
//! generated from the table.

mod args;
mod choice;
mod effective;
mod error;
mod file;
mod layers;
mod listen;
mod nearest;
mod reader;
mod sample;
mod secret;
mod setting;
mod spelling;
mod table;
#[cfg(test)]
mod tests;
mod value;

use std::{ffi::OsString, time::Duration};

use clap::ArgMatches;

pub use args::{args, args_of};
pub use choice::{Durability, LogFormat, ReplicaQuorum, RuntimeForm, StoreKind};
pub use effective::{Effective, EffectiveValue};
pub use error::{ConfigError, ConfigErrors};
pub use file::ConfigFile;
pub use layers::Origin;
pub use listen::{Listen, ListenAddress};
pub use sample::sample;
pub use secret::Secret;
pub use setting::Setting;
pub use spelling::{assignment, value};
pub use table::Config;

use layers::Layers;
use reader::Reader;

/// The shortest time for which a cluster keeps deletions.
const TOMBSTONE_TTL_MIN: Duration = Duration::from_secs(60 * 60);

/// All settings, in the order of the documentation.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    table::SETTINGS.iter()
}

impl Config {
    /// The configuration of this process: its flags, its environment and the file they name.
    pub fn from_process(matches: &ArgMatches) -> Result<Self, ConfigErrors> {
        Effective::from_process(matches).map(|effective| effective.config)
    }

    /// The configuration that these flags, variables and file make.
    ///
    /// `matches` are of a command made with [`args()`], or of one without settings.
    pub fn load<K: Into<OsString>, V: Into<OsString>>(
        matches: &ArgMatches,
        variables: impl IntoIterator<Item = (K, V)>,
        file: Option<&ConfigFile>,
    ) -> Result<Self, ConfigErrors> {
        Effective::load(matches, variables, file).map(|effective| effective.config)
    }

    /// Lets defaults follow what they depend on.
    fn settle(&mut self, reader: &mut Reader<'_>) {
        if self.store == StoreKind::Memory && self.durability == Durability::Journal {
            if reader.is_given("durability") {
                let problem = "with store = memory it cannot be journal: that store is gone with \
                               the server, whatever is kept beside it";
                reader.refuse("durability", problem.to_owned());
            }
            self.durability = Durability::Memory;
            reader.follow("durability", "memory", "store");
        }
        if self.cache_entries.is_some() {
            reader.replace("cache-memory", "cache-entries");
        }
    }

    /// Refuses settings that are right one by one and wrong together.
    fn check(&self, reader: &mut Reader<'_>) {
        let is_taken = self.listen.tcp().any(|address| address == self.admin_listen);
        if self.admin_listen.port() != 0 && is_taken {
            reader.refuse("admin-listen", "allowed is any address but that of listen".to_owned());
        }
        self.check_tls(reader);
        self.check_cluster(reader);
        let Some(entries) = self.cache_entries else { return };
        if reader.is_given("cache-memory") {
            reader.refuse(
                "cache-memory",
                "allowed is one of cache-memory and cache-entries, not both".to_owned(),
            );
        }
        if self.dirty_limit.is_some_and(|limit| limit > entries) {
            let problem = format!("allowed is at most cache-entries, which is {entries}");
            reader.refuse("dirty-limit", problem);
        }
    }
}

impl Config {
    /// As [`Self::check`], for what is about encryption.
    fn check_tls(&self, reader: &mut Reader<'_>) {
        if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            let problem = "allowed is both of tls-cert-file and tls-key-file, or none";
            reader.refuse("tls-cert-file", problem.to_owned());
        }
        if self.tls_client_ca_file.is_some() && self.tls_cert_file.is_none() {
            let problem = "callers can be asked for certificates only beside tls-cert-file";
            reader.refuse("tls-client-ca-file", problem.to_owned());
        }
        if self.tls_client_cert_optional && self.tls_client_ca_file.is_none() {
            let problem = "without tls-client-ca-file no caller is asked for a certificate";
            reader.refuse("tls-client-cert-optional", problem.to_owned());
        }
    }

    /// As [`Self::check`], for what is about a cluster.
    fn check_cluster(&self, reader: &mut Reader<'_>) {
        if self.standby && self.store != StoreKind::Cassandra {
            let problem = "only services that share a cluster can stand by: store = cassandra";
            reader.refuse("standby", problem.to_owned());
        }
        let shortest = TOMBSTONE_TTL_MIN.max(2 * self.flush_after);
        if self.store == StoreKind::Cassandra && self.tombstone_ttl < shortest {
            // What expires has to be there by then: entries that come later would be overlooked.
            let problem = "with store = cassandra allowed is 1h or more, and twice flush-after";
            reader.refuse("tombstone-ttl", problem.to_owned());
        }
        if self.cassandra_user.is_some() != self.cassandra_password_file.is_some() {
            let problem = "allowed is both of cassandra-user and cassandra-password-file, or none";
            reader.refuse("cassandra-user", problem.to_owned());
        }
        if self.cassandra_cert_file.is_some() != self.cassandra_key_file.is_some() {
            let problem = "allowed is both of cassandra-cert-file and cassandra-key-file, or none";
            reader.refuse("cassandra-cert-file", problem.to_owned());
        }
        if self.cassandra_cert_file.is_some() && self.cassandra_ca_file.is_none() {
            let problem = "allowed is a certificate only beside cassandra-ca-file";
            reader.refuse("cassandra-cert-file", problem.to_owned());
        }
    }
}

impl Default for Config {
    /// Every setting at its default.
    fn default() -> Self {
        Self::read(&mut Reader::new(&Layers::default()))
    }
}

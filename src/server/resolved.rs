//! What a server makes of the settings that are left to it.

use super::{serving, shared, start};
use crate::config::{Config, StoreKind};

/// Key and value of each setting that is `auto`, here and now.
pub fn resolved(config: &Config) -> Vec<(&'static str, String)> {
    let sizing = start::sizing(config);
    let left = [
        ("cache-entries", config.cache_entries.is_none(), sizing.entries),
        ("shards", config.shards.is_none(), sizing.shards),
        ("dirty-limit", config.dirty_limit.is_none(), sizing.dirty_limit),
        ("serve-threads", config.serve_threads.is_none(), serving::serve_threads(config)),
    ];
    let mut resolved: Vec<_> = left
        .into_iter()
        .filter(|(_, is_left, _)| *is_left)
        .map(|(key, _, number)| (key, number.to_string()))
        .collect();
    if config.store == StoreKind::Cassandra && config.owner_name.is_none() {
        resolved.push(("owner-name", shared::owner_name(config)));
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_the_server_is_told_and_nothing_else() {
        let config = Config::default();
        let keys =
            |config: &Config| resolved(config).iter().map(|(key, _)| *key).collect::<Vec<_>>();
        assert_eq!(keys(&config), ["cache-entries", "shards", "dirty-limit", "serve-threads"]);
        let config = Config {
            cache_entries: Some(2_000),
            shards: Some(3),
            serve_threads: Some(1),
            store: StoreKind::Cassandra,
            owner_name: None,
            ..config
        };
        assert_eq!(keys(&config), ["dirty-limit", "owner-name"]);
        assert_eq!(resolved(&config)[0].1, "1000");
        assert!(resolved(&config)[1].1.ends_with(":50051"));
    }
}

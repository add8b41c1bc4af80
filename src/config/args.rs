//! The flags of `serve`, generated from the table of settings.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};

use super::{Setting, settings};

/// The flag that names the configuration file.
const CONFIG: &str = "config";

/// How the value of a setting is called that is a matter of yes or no.
const SWITCH: &str = "SWITCH";

/// The variable that names the configuration file.
pub(super) const CONFIG_VARIABLE: &str = "READSTATES_CONFIG";

/// One flag per setting, and `--config`.
///
/// Values are taken as text: they are judged together with those of the variables and the file, so
/// that all errors are told at once.
pub fn args() -> impl Iterator<Item = Arg> {
    args_of(|_| true)
}

/// As [`args`], for the settings whose keys are wanted.
pub fn args_of(is_wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = Arg> {
    let file = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(format!("A TOML file with settings [env: {CONFIG_VARIABLE}]"));
    std::iter::once(file).chain(settings().filter(move |setting| is_wanted(setting.key)).map(arg))
}

/// The file named by `--config`.
pub(super) fn config_path(matches: &ArgMatches) -> Option<PathBuf> {
    matches.try_get_one::<PathBuf>(CONFIG).ok().flatten().cloned()
}

fn arg(setting: &'static Setting) -> Arg {
    let (help, default, variable) = (setting.help(), setting.default, setting.variable());
    let arg = Arg::new(setting.key)
        .long(setting.key)
        .value_name(setting.value_name)
        .help(format!("{help} [default: {default}] [env: {variable}]"));
    match setting.value_name {
        // Without a value the flag alone says yes.
        SWITCH => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg,
    }
}

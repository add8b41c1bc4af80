//! What each method needs of its caller: one entry each. What has none is not called, whoever asks.

use super::{Role, Roles};

/// What a caller must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Not even a name: probes ask without credentials.
    Nothing,
    /// To be one of the callers, whatever its roles.
    Caller,
    /// One of these roles.
    OneOf(Roles),
}

/// One method of a service.
#[derive(Debug)]
pub(super) struct Method {
    pub name: &'static str,
    pub need: Need,
    /// Its answer has many messages, and no end of its own: the caller is looked at again in it.
    pub is_stream: bool,
}

/// A service and its methods.
type Service = (&'static str, &'static [Method]);

const READER: Need = Need::OneOf(Roles::of(&[Role::Reader]));
const WRITER: Need = Need::OneOf(Roles::of(&[Role::Writer]));
const FAN_OUT: Need = Need::OneOf(Roles::of(&[Role::FanOut]));
const WRITER_OR_FAN_OUT: Need = Need::OneOf(Roles::of(&[Role::Writer, Role::FanOut]));
const ADMIN: Need = Need::OneOf(Roles::of(&[Role::Admin]));

/// Every method that is served.
pub(super) static SERVICES: [Service; 5] = [
    (
        "readstates.v1.ReadStatesService",
        &[
            one("Ack", WRITER),
            one("Increment", WRITER),
            one("Reset", WRITER),
            one("MarkUnread", WRITER),
            one("AckPins", WRITER),
            one("Retract", WRITER_OR_FAN_OUT),
            one("FanOut", FAN_OUT),
            one("Get", READER),
            one("BatchGet", READER),
            one("List", READER),
            one("GetSummary", READER),
            one("BulkAck", WRITER),
            one("Restore", WRITER),
            one("Delete", WRITER),
            one("DeleteUser", ADMIN),
            one("DeleteChannel", FAN_OUT),
            one("Apply", WRITER),
            stream("ApplyStream", WRITER),
            stream("Watch", READER),
        ],
    ),
    (
        "readstates.v1.MaintenanceService",
        &[stream("Dump", ADMIN), one("Load", ADMIN), stream("Verify", ADMIN)],
    ),
    ("grpc.health.v1.Health", &[one("Check", Need::Nothing), stream("Watch", Need::Nothing)]),
    ("grpc.reflection.v1.ServerReflection", &[stream("ServerReflectionInfo", Need::Caller)]),
    ("grpc.reflection.v1alpha.ServerReflection", &[stream("ServerReflectionInfo", Need::Caller)]),
];

const fn one(name: &'static str, need: Need) -> Method {
    Method { name, need, is_stream: false }
}

const fn stream(name: &'static str, need: Need) -> Method {
    Method { name, need, is_stream: true }
}

/// The method that calls of `path`, such as `/readstates.v1.ReadStatesService/Ack`, ask for.
pub(super) fn find(path: &str) -> Option<&'static Method> {
    let (service, name) = path.strip_prefix('/')?.split_once('/')?;
    let (_, methods) = SERVICES.iter().find(|(known, _)| *known == service)?;
    methods.iter().find(|method| method.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::proto;

    /// The path of every method that a set of descriptors names, and whether its answer is many.
    fn described(set: &[u8]) -> Vec<(String, bool)> {
        let set = FileDescriptorSet::decode(set).expect("descriptors");
        let mut methods = Vec::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let names = [file.package(), service.name(), method.name()];
                    let path = format!("/{}.{}/{}", names[0], names[1], names[2]);
                    methods.push((path, method.server_streaming()));
                }
            }
        }
        methods
    }

    #[test]
    fn every_method_of_every_service_has_one_entry_and_there_are_no_others() {
        let sets = [
            proto::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let described: BTreeMap<_, _> = sets.into_iter().flat_map(described).collect();
        let entries = SERVICES.iter().flat_map(|(service, methods)| {
            methods.iter().map(move |method| (format!("/{service}/{}", method.name), method))
        });
        let mut known = BTreeMap::new();
        for (path, method) in entries {
            assert!(std::ptr::eq(find(&path).expect("it is found"), method), "{path} comes twice");
            known.insert(path, method.is_stream);
        }
        assert_eq!(known, described);
    }

    #[test]
    fn only_health_is_open_and_only_reflection_asks_for_no_role() {
        for (service, methods) in SERVICES {
            for method in methods {
                match method.need {
                    Need::Nothing => assert_eq!(service, "grpc.health.v1.Health"),
                    Need::Caller => assert!(service.starts_with("grpc.reflection.v1"), "{service}"),
                    Need::OneOf(roles) => {
                        assert!(!roles.is_empty(), "{} needs what nobody has", method.name);
                        assert!(service.starts_with("readstates.v1."), "{service}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_method_is_not_found() {
        for path in [
            "",
            "/",
            "/readstates.v1.ReadStatesService",
            "/readstates.v1.ReadStatesService/",
            "/readstates.v1.ReadStatesService/ack",
            "/readstates.v1.ReadStatesService/Ack/",
            "//Ack",
            "readstates.v1.ReadStatesService/Ack",
            "/readstates.v2.ReadStatesService/Ack",
        ] {
            assert!(find(path).is_none(), "{path:?}");
        }
    }
}

//! What a program inside a containment must not reach, whatever holds it.

use serde_json::{Value, json};

/// The program that tries it; its arguments are told in it.
pub const PROBE: &str = include_str!("../containment/probe.py");

/// What it tried, and how that may have ended.
const TRIED: [(&str, &[&str]); 23] = [
    ("secret", &["ENOENT", "EACCES"]),
    ("run", &["ENOENT", "EACCES"]),
    ("environment of init", &["EACCES", "EPERM"]),
    ("memory of init", &["EACCES", "EPERM"]),
    ("files of init", &["EACCES", "EPERM"]),
    ("port of the host", &["ECONNREFUSED"]),
    ("address outside", &["ENETUNREACH"]),
    ("socket of the host", &["ECONNREFUSED"]),
    ("host of the machine", &["EAFNOSUPPORT"]),
    ("process of the host", &["ESRCH"]),
    ("limits of init", &["EPERM"]),
    ("processors of init", &["EPERM"]),
    ("own limits", &["set"]),
    ("socket of the gateway", &["EROFS", "EPERM"]),
    ("program of the system", &["EROFS", "EACCES"]),
    ("program of the agent", &["EROFS", "EACCES"]),
    ("file in the root", &["EROFS", "EACCES"]),
    ("namespaces", &["EPERM"]),
    ("mount", &["EPERM"]),
    ("ptrace", &["EPERM"]),
    ("device", &["EPERM"]),
    ("workspace removed", &["EBUSY", "EACCES"]),
    ("workspace renamed", &["EBUSY", "EACCES"]),
];

/// Asserts that what it found is what every containment leaves it.
pub fn is_held(found: &Value) {
    for (what, wanted) in TRIED {
        let told = found[what].as_str().unwrap_or("something");
        assert!(wanted.contains(&told), "{what}: {}, of {found:#}", found[what]);
    }
    assert_eq!(
        (&found["capabilities"], &found["no_new_privs"]),
        (&json!(0), &json!("1")),
        "{found:#}"
    );
    assert_eq!(found["seen"], json!([]), "files of the run are seen");
}

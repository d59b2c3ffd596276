//! What of this machine's own system a contained program sees, whatever contains it.

/// Folders in the root, or links into `/usr`; read-only.
pub const FOLDERS: &[&str] = &["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// What of `/etc` the system's programs need and tells nothing about the host's users or secrets.
pub const ETC: &[&str] = &[
    "alternatives",
    "ssl/certs",
    "ssl/openssl.cnf",
    "ld.so.cache",
    "localtime",
    "mime.types",
];

/// Files of `/etc` that are made up: code that reads them finds the usual form, and nobody real.
pub const MADE_UP: &[(&str, &str)] = &[
    (
        "passwd",
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp/work:/bin/sh\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("group", "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
];

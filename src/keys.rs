//! Provider keys: taken out of this process's environment before anything else is started.
//!
//! What stays in a process's initial environment can be read in `/proc/PID/environ` by every process of the same user,
//! and the agents are such processes.

use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::OnceLock;

static KEYS: OnceLock<HashMap<String, String>> = OnceLock::new();

/// Variables whose names end like this hold keys.
const SUFFIX: &str = "_API_KEY";

/// Moves all keys of the environment into this process's memory, where [`get`] finds them, and overwrites them where they
/// were. With a key at hand, other processes of the user may not look into this one any more.
///
/// # Safety
/// No other thread may run yet: the environment is changed in place.
pub unsafe fn take_from_environment() {
    let mut keys = HashMap::new();
    // SAFETY: the caller promises that nobody else reads or writes the environment meanwhile; every entry is a
    // NUL-terminated string in writable memory of the process, and no more than its own value is overwritten.
    unsafe {
        let mut entry = libc::environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_bytes();
            if let Some(end) = text.iter().position(|byte| *byte == b'=')
                && text[..end].ends_with(SUFFIX.as_bytes())
            {
                let (name, value) = (
                    String::from_utf8_lossy(&text[..end]),
                    String::from_utf8_lossy(&text[end + 1..]),
                );
                keys.insert(name.into_owned(), value.into_owned());
                let length = text.len() - end - 1;
                std::ptr::write_bytes((*entry).add(end + 1), 0, length);
            }
            entry = entry.add(1);
        }
        for name in keys.keys() {
            std::env::remove_var(name);
        }
        if !keys.is_empty() {
            libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        }
    }
    let _ = KEYS.set(keys);
}

/// The key of this name, wherever it is now.
pub fn get(name: &str) -> Option<String> {
    KEYS.get()
        .and_then(|keys| keys.get(name).cloned())
        .or_else(|| std::env::var(name).ok())
}

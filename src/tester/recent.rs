//! A small cache that keeps what was used last.

use std::sync::{Mutex, PoisonError};

/// Up to a fixed number of values by key; a further one drops the value unused for longest.
pub(super) struct Recent<K, V> {
    most: usize,
    /// Used last, last.
    entries: Mutex<Vec<(K, V)>>,
}

impl<K: Eq + Clone, V: Clone> Recent<K, V> {
    pub fn new(most: usize) -> Self {
        Self {
            most,
            entries: Mutex::new(Vec::new()),
        }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let at = entries.iter().position(|(known, _)| known == key)?;
        let entry = entries.remove(at);
        let value = entry.1.clone();
        entries.push(entry);
        Some(value)
    }

    pub fn remove(&self, key: &K) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(known, _)| known != key);
    }

    pub fn get_or_insert(&self, key: K, make: impl FnOnce(&K) -> V) -> V {
        match self.get_or_try_insert(key, |key| Ok::<V, std::convert::Infallible>(make(key))) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The value, made if there is none. Two callers at once may both make one; one of them is kept.
    pub fn get_or_try_insert<E>(&self, key: K, make: impl FnOnce(&K) -> Result<V, E>) -> Result<V, E> {
        if let Some(value) = self.get(&key) {
            return Ok(value);
        }
        let made = make(&key)?;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = entries.iter().find(|(known, _)| *known == key) {
            return Ok(value.clone());
        }
        if entries.len() >= self.most {
            entries.remove(0);
        }
        entries.push((key, made.clone()));
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_unused_for_longest_goes() {
        let recent = Recent::new(2);
        for key in ["a", "b"] {
            recent.get_or_insert(key, |key| key.len());
        }
        assert_eq!(recent.get(&"a"), Some(1));
        recent.get_or_insert("c", |_| 3);
        assert_eq!(
            (recent.get(&"a"), recent.get(&"b"), recent.get(&"c")),
            (Some(1), None, Some(3))
        );
    }
}

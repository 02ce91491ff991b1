//! Acceptances that were asked for lately. Nobody but the daemon writes the database, so an answer holds
//! until the daemon writes again: then all are forgotten, and asked for anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pullgate_policy::digest::Digest;

use super::Digests;

/// The most answers that are kept: more than a node has images, in the names that its pods use.
const ANSWERS: usize = 1024;

/// What is asked: the name, a digest of the image, and the hash of the policy.
pub(super) type Key = (String, Digest, Digest);

/// The answers.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    writes: u64,
    accepted: HashMap<Key, Digests>,
}

/// How often the database was written when a question was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Writes(u64);

impl Recent {
    /// What was accepted; otherwise what [`Self::keep`] has to be told with the database's answer.
    pub(super) fn find(&self, key: &Key) -> Result<Digests, Writes> {
        let answers = self.lock();
        answers.accepted.get(key).cloned().ok_or(Writes(answers.writes))
    }

    /// Keeps an answer, unless the database was written since it was asked for it.
    pub(super) fn keep(&self, key: Key, accepted: Digests, asked: Writes) {
        let mut answers = self.lock();
        if asked != Writes(answers.writes) {
            return;
        }
        if answers.accepted.len() >= ANSWERS {
            answers.accepted.clear();
        }
        answers.accepted.insert(key, accepted);
    }

    /// The database has been written.
    pub(super) fn forget(&self) {
        let mut answers = self.lock();
        answers.writes += 1;
        answers.accepted.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{ANSWERS, Digests, Key, Recent};
    use pullgate_policy::digest::Digest;

    fn digest(text: &str) -> Digest {
        Digest::sha256(text.as_bytes())
    }

    fn key(name: &str) -> Key {
        (name.to_owned(), digest("config"), digest("policy"))
    }

    fn image() -> Digests {
        Digests { manifest: digest("manifest"), config: digest("config"), index: None }
    }

    #[test]
    fn an_answer_is_found_until_the_database_is_written() {
        let recent = Recent::default();
        let writes = recent.find(&key("a")).unwrap_err();
        recent.keep(key("a"), image(), writes);
        assert_eq!(recent.find(&key("a")), Ok(image()));
        for other in [
            key("b"),
            ("a".to_owned(), digest("other config"), digest("policy")),
            ("a".to_owned(), digest("config"), digest("other policy")),
        ] {
            recent.find(&other).expect_err("a part of the question is another");
        }
        recent.forget();
        recent.find(&key("a")).expect_err("it may have changed");
    }

    #[test]
    fn an_answer_that_was_overtaken_is_not_kept() {
        let recent = Recent::default();
        let writes = recent.find(&key("a")).unwrap_err();
        recent.forget();
        recent.keep(key("a"), image(), writes);
        recent.find(&key("a")).expect_err("it is older than the last row");
    }

    #[test]
    fn answers_are_bounded() {
        let recent = Recent::default();
        for number in 0..=ANSWERS {
            let key = key(&number.to_string());
            let writes = recent.find(&key).unwrap_err();
            recent.keep(key, image(), writes);
        }
        assert!(recent.lock().accepted.len() <= ANSWERS);
        assert_eq!(recent.find(&key(&ANSWERS.to_string())), Ok(image()));
    }
}

//! `[break_glass]`: who may exempt, and how.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::raw::RawBreakGlass;
use super::{ConfigError, Parser, duration};
use crate::trust::{Admins, Exemptions};

/// A week: what is needed for longer than that belongs into the policy.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Parser<'_> {
    pub(super) fn break_glass(&self, raw: RawBreakGlass) -> Result<Exemptions, ConfigError> {
        let folder = self.absolute("break_glass.exemptions", raw.exemptions)?;
        let folder = folder.unwrap_or_else(|| PathBuf::from("/etc/pullgate/exemptions"));
        let longest = raw.longest.as_deref().unwrap_or("24h");
        let longest = duration(longest, LONGEST).ok_or_else(|| {
            let expected = "a number from 1 on and its unit, `s`, `m` or `h`, at most `168h`";
            self.wrong("break_glass.longest", longest, expected)
        })?;
        if raw.keys.is_empty() && raw.required.is_none() {
            return Ok(Exemptions { folder, admins: None });
        }
        let mut keys = Vec::with_capacity(raw.keys.len());
        for key in raw.keys {
            keys.extend(self.absolute("break_glass.keys", Some(key))?);
        }
        if keys.is_empty() {
            return Err(self.wrong("break_glass.keys", "nothing", "the files of the admins' keys"));
        }
        let required = raw.required.map_or_else(|| "nothing".to_owned(), |count| count.to_string());
        let count = required.parse().ok().and_then(NonZeroUsize::new).ok_or_else(|| {
            let expected = "how many of the keys must have signed, from 1 on";
            self.wrong("break_glass.required", &required, expected)
        })?;
        Ok(Exemptions { folder, admins: Some(Admins { keys, required: count, longest }) })
    }
}

//! The database: what is asked of it, one method each. Everything here waits for the disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use pullgate_policy::digest::Digest;
use pullgate_policy::signature::UntrustedSignature;
use rusqlite::{
    Connection, OpenFlags, OptionalExtension as _, Row, Transaction, TransactionBehavior,
};

use super::entry::{Digests, Door, Entry, Evidence, Filter, Search, Verdict};
use super::{LedgerError, file, sql};
use crate::audit::{Outcome, chain, printable};

/// How long another process may hold the database.
const BUSY: Duration = Duration::from_secs(5);

/// Rows between two looks at the bounds.
const ROWS_A_LOOK: u32 = 256;

/// Rows that are dropped in one transaction. The next start reads through what the log holds of one that
/// did not end.
const ROWS_A_STEP: i64 = 2048;

/// The most evidence that one row brings: far above any real image's manifest and signatures. What has
/// more is decided from the registry.
const EVIDENCE_BYTES: usize = 1 << 20;

/// The largest file that is read through when it is opened: about 10 ms. What is wrong with a larger one
/// shows when a row of it is wanted, and the image is verified again.
const CHECKED_BYTES: i64 = 16 << 20;

/// Where the file stops growing.
const FILE_BYTES: i64 = 256 << 20;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most rows.
    pub max_rows: u32,
    /// How long a row is kept.
    pub retention: Duration,
}

/// How large a ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Decisions that are kept.
    pub rows: i64,
    /// Bytes that are in use.
    pub bytes: i64,
}

/// An open ledger. One thread uses it.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    bounds: Bounds,
    since_look: u32,
}

impl Store {
    /// Opens the file at `path`, or makes it. One that is damaged is set aside, which is recorded.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be made, could have been forged, or is of a later version.
    pub fn open(path: &Path, bounds: Bounds) -> Result<Self, LedgerError> {
        file::prepare(path)?;
        match Self::attempt(path, bounds) {
            Err(error) if error.damaged() => {
                let aside = file::set_aside(path)?;
                tracing::error!(
                    "the ledger {} is damaged and was set aside as {}; images are verified again \
                     when they are used: {}",
                    path.display(),
                    aside.display(),
                    printable(&chain(&error))
                );
                file::prepare(path)?;
                Self::attempt(path, bounds)
            }
            outcome => outcome,
        }
    }

    /// A ledger that ends with the process.
    ///
    /// # Errors
    /// [`LedgerError`] if there is no memory for it.
    pub fn in_memory(bounds: Bounds) -> Result<Self, LedgerError> {
        Self::set_up(Connection::open_in_memory()?, Path::new("memory"), bounds)
    }

    /// Opens an existing ledger for reading, also while the daemon writes.
    ///
    /// # Errors
    /// [`LedgerError`] if there is none, or it is of a later version.
    pub fn open_read_only(path: &Path) -> Result<Self, LedgerError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        std::fs::metadata(path).map_err(LedgerError::file(path))?;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        version(&connection, path, sql::MIGRATIONS.len())?;
        let bounds = Bounds { max_rows: u32::MAX, retention: Duration::MAX };
        Ok(Self { connection, bounds, since_look: 0 })
    }

    fn attempt(path: &Path, bounds: Bounds) -> Result<Self, LedgerError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Self::set_up(Connection::open_with_flags(path, flags)?, path, bounds)
    }

    fn set_up(connection: Connection, path: &Path, bounds: Bounds) -> Result<Self, LedgerError> {
        connection.busy_timeout(BUSY)?;
        connection.execute_batch(sql::CONNECT)?;
        let mut store = Self { connection, bounds, since_look: 0 };
        if store.bytes()? <= CHECKED_BYTES {
            store.check()?;
        }
        migrate(&mut store.connection, path, &sql::MIGRATIONS)?;
        store.connection.execute_batch(sql::PRESENT)?;
        Ok(store)
    }

    fn check(&self) -> Result<(), LedgerError> {
        let found: String = self.connection.query_row(sql::QUICK_CHECK, (), |row| row.get(0))?;
        if found == "ok" {
            return Ok(());
        }
        let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err(rusqlite::Error::SqliteFailure(corrupt, Some(found)).into())
    }

    /// Adds an entry and its evidence, all or nothing.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing has been added then.
    pub fn record(&mut self, entry: &Entry, evidence: &Evidence) -> Result<(), LedgerError> {
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        add_entry(&change, entry)?;
        add_evidence(&change, evidence)?;
        change.commit()?;
        self.since_look += 1;
        if self.since_look >= ROWS_A_LOOK {
            self.prune(SystemTime::now())?;
        }
        Ok(())
    }

    /// The last verdict about the image that `digest` names in one of its ways, under `name` and
    /// `policy`.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be read.
    pub fn verdict(
        &self,
        name: &str,
        digest: &Digest,
        policy: &Digest,
    ) -> Result<Option<Verdict>, LedgerError> {
        let mut statement = self.connection.prepare(sql::VERDICT)?;
        let mut rows = statement.query((name, policy.to_string(), digest.to_string()))?;
        let Some(row) = rows.next()? else { return Ok(None) };
        if row.get::<_, String>(0)? != Outcome::Accepted.as_str() {
            return Ok(Some(Verdict::Rejected));
        }
        Ok(digests(row, 1)?.map(Verdict::Accepted))
    }

    /// The last search for signatures of `document` in the name of `repository`; none if there was
    /// none.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be read.
    pub fn search(
        &self,
        repository: &str,
        document: &Digest,
    ) -> Result<Option<Search>, LedgerError> {
        let key = (repository, document.to_string());
        let searched =
            self.connection.query_row(sql::SEARCH, key.clone(), |row| row.get::<_, String>(0));
        let Some(searched) = searched.optional()? else { return Ok(None) };
        let mut statement = self.connection.prepare(sql::SIGNATURES)?;
        let mut signatures = Vec::new();
        for stored in statement.query_map(key, |row| row.get::<_, Vec<u8>>(0))? {
            let stored = stored?;
            let signature = UntrustedSignature::restore(&stored).map_err(|error| {
                LedgerError::Value { found: error.to_string(), expected: "a stored signature" }
            })?;
            signatures.push(signature);
        }
        let (repository, document) = (repository.to_owned(), document.clone());
        Ok(Some(Search { repository, document, searched: json(&searched)?, signatures }))
    }

    /// The names under which the image with this configuration has been accepted, the last one first.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be read.
    pub fn names(&self, config: &Digest) -> Result<Vec<String>, LedgerError> {
        let mut statement = self.connection.prepare(sql::NAMES)?;
        let names = statement.query_map([config.to_string()], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// The bytes of a manifest or an index. They are to be hashed before they are believed.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be read.
    pub fn document(&self, digest: &Digest) -> Result<Option<Bytes>, LedgerError> {
        let bytes = self
            .connection
            .query_row(sql::CONTENT, [digest.to_string()], |row| row.get::<_, Vec<u8>>(0));
        Ok(bytes.optional()?.map(Bytes::from))
    }

    /// The entries that `filter` lets through, the last one first.
    ///
    /// # Errors
    /// [`LedgerError`] if they cannot be read.
    pub fn history(&self, filter: &Filter) -> Result<Vec<Entry>, LedgerError> {
        let mut statement = self.connection.prepare(sql::HISTORY)?;
        let mut rows = statement.query((
            filter.image.as_deref(),
            filter.namespace.as_deref(),
            filter.outcome.map(Outcome::as_str),
            filter.since.map(microseconds),
            filter.limit,
        ))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(entry(row)?);
        }
        Ok(found)
    }

    /// How large it is.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be read.
    pub fn size(&self) -> Result<Size, LedgerError> {
        let rows = self.connection.query_row(sql::COUNT, (), |row| row.get(0))?;
        Ok(Size { rows, bytes: self.bytes()? })
    }

    fn bytes(&self) -> Result<i64, LedgerError> {
        Ok(self.connection.query_row(sql::BYTES_USED, (), |row| row.get(0))?)
    }

    /// Tells which images are on the node, by their IDs: what is known of them is forgotten last.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be noted.
    pub fn present(&mut self, images: &BTreeSet<String>) -> Result<(), LedgerError> {
        self.connection.execute_batch(sql::PRESENT)?;
        let mut statement = self.connection.prepare(sql::ADD_PRESENT)?;
        for image in images {
            statement.execute([image])?;
        }
        Ok(())
    }

    /// Forgets what is past the bounds, the oldest first.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be removed.
    pub fn prune(&mut self, now: SystemTime) -> Result<(), LedgerError> {
        self.since_look = 0;
        let (bounds, connection) = (self.bounds, &self.connection);
        connection.execute_batch(sql::KEEP)?;
        let oldest = now.checked_sub(bounds.retention).unwrap_or(SystemTime::UNIX_EPOCH);
        let oldest = microseconds(oldest);
        while connection.execute(sql::DROP_OLD, (oldest, ROWS_A_STEP))? > 0 {}
        let Size { rows, bytes } = self.size()?;
        let excess = rows - i64::from(bounds.max_rows);
        // Past the size, an eighth goes at a time, until the next look.
        let excess = if bytes > FILE_BYTES { excess.max(rows / 8) } else { excess };
        let excess = excess - drop_rows(connection, sql::DROP_OLDEST, excess)?;
        drop_rows(connection, sql::DROP_OLDEST_KEPT, excess)?;
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute_batch(sql::DROP_ORPHANS)?;
        change.commit()?;
        Ok(())
    }
}

/// Drops so many rows by `statement`, and returns how many it found.
fn drop_rows(connection: &Connection, statement: &str, count: i64) -> Result<i64, LedgerError> {
    let mut dropped = 0;
    while dropped < count {
        match connection.execute(statement, [ROWS_A_STEP.min(count - dropped)])? {
            0 => break,
            step => dropped += i64::try_from(step).unwrap_or(i64::MAX),
        }
    }
    Ok(dropped)
}

/// Brings a file of any earlier version up to date.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), LedgerError> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let seen = version(&change, path, migrations.len())?;
    for migration in migrations.iter().skip(seen) {
        change.execute_batch(migration)?;
    }
    change.pragma_update(None, VERSION, i64::try_from(migrations.len()).unwrap_or(i64::MAX))?;
    change.commit()?;
    Ok(())
}

const VERSION: &str = "user_version";

fn version(connection: &Connection, path: &Path, known: usize) -> Result<usize, LedgerError> {
    let found: i64 = connection.pragma_query_value(None, VERSION, |row| row.get(0))?;
    match usize::try_from(found) {
        Ok(found) if found <= known => Ok(found),
        Ok(found) => Err(LedgerError::Newer { path: path.to_owned(), found, known }),
        Err(_) => {
            Err(LedgerError::Value { found: found.to_string(), expected: "a schema version" })
        }
    }
}

fn add_entry(change: &Transaction<'_>, entry: &Entry) -> Result<(), LedgerError> {
    let image = entry.image.as_ref();
    let text = |digest: Option<&Digest>| digest.map(Digest::to_string);
    change.execute(
        sql::ADD_DECISION,
        (
            microseconds(entry.at),
            entry.door.as_str(),
            &entry.pull_id,
            &entry.name,
            text(image.map(|image| &image.manifest)),
            text(image.map(|image| &image.config)),
            text(image.and_then(|image| image.index.as_ref())),
            text(entry.policy.as_ref()),
            &entry.scope,
            entry.outcome.as_str(),
            &entry.reason,
            &entry.message,
            to_json(&entry.signers),
            &entry.namespace,
            &entry.pod,
        ),
    )?;
    Ok(())
}

fn add_evidence(change: &Transaction<'_>, evidence: &Evidence) -> Result<(), LedgerError> {
    let stored: Vec<(&Search, Vec<Vec<u8>>)> = evidence
        .searches
        .iter()
        .map(|search| (search, search.signatures.iter().map(UntrustedSignature::stored).collect()))
        .collect();
    let documents: usize = evidence.documents.iter().map(|(_, bytes)| bytes.len()).sum();
    let signatures: usize = stored.iter().flat_map(|(_, found)| found).map(Vec::len).sum();
    if documents + signatures > EVIDENCE_BYTES {
        return Ok(());
    }
    for (digest, bytes) in &evidence.documents {
        change.execute(sql::ADD_CONTENT, (digest.to_string(), bytes.as_ref()))?;
    }
    for (search, signatures) in stored {
        let key = (search.repository.as_str(), search.document.to_string());
        change.execute(sql::FORGET_SEARCH, key.clone())?;
        change.execute(sql::ADD_SEARCH, (key.0, &key.1, to_json(&search.searched)))?;
        for (number, signature) in (1_i64..).zip(&signatures) {
            let digest = Digest::sha256(signature).to_string();
            change.execute(sql::ADD_CONTENT, (&digest, signature))?;
            change.execute(sql::ADD_SIGNATURE, (key.0, &key.1, number, &digest))?;
        }
    }
    Ok(())
}

fn entry(row: &Row<'_>) -> Result<Entry, LedgerError> {
    let text = |column| row.get::<_, String>(column);
    let door = text(1)?;
    let outcome = text(9)?;
    let policy: Option<String> = row.get(7)?;
    Ok(Entry {
        at: SystemTime::UNIX_EPOCH + Duration::from_micros(row.get::<_, i64>(0)?.unsigned_abs()),
        door: Door::of(&door).ok_or(LedgerError::Value { found: door, expected: "a door" })?,
        pull_id: text(2)?,
        name: text(3)?,
        image: digests(row, 4)?,
        policy: policy.as_deref().map(digest).transpose()?,
        scope: row.get(8)?,
        outcome: Outcome::of(&outcome)
            .ok_or(LedgerError::Value { found: outcome, expected: "an outcome" })?,
        reason: text(10)?,
        message: text(11)?,
        signers: json(&text(12)?)?,
        namespace: text(13)?,
        pod: text(14)?,
    })
}

/// The digests in three columns from `first` on.
fn digests(row: &Row<'_>, first: usize) -> Result<Option<Digests>, LedgerError> {
    let column = |number: usize| {
        let text: Option<String> = row.get(first + number)?;
        text.as_deref().map(digest).transpose()
    };
    let (Some(manifest), Some(config)) = (column(0)?, column(1)?) else { return Ok(None) };
    Ok(Some(Digests { manifest, config, index: column(2)? }))
}

fn digest(text: &str) -> Result<Digest, LedgerError> {
    text.parse().map_err(|_not_a_digest| LedgerError::Value {
        found: text.to_owned(),
        expected: "a digest",
    })
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|_not_json| LedgerError::Value {
        found: text.to_owned(),
        expected: "a list in JSON",
    })
}

fn to_json(list: &impl serde::Serialize) -> String {
    serde_json::to_string(list).unwrap_or_else(|_impossible| "[]".to_owned())
}

fn microseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

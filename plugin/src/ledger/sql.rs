//! Every statement of the ledger. The schema only ever grows by another migration.

/// The migrations in their order. `PRAGMA user_version` counts those that a file has seen.
pub(super) const MIGRATIONS: [&str; 1] = [r"
CREATE TABLE decision (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,  -- microseconds since 1970
    door       TEXT NOT NULL,
    pull_id    TEXT NOT NULL,
    name       TEXT NOT NULL,     -- normalised, or as asked for where it is no reference
    manifest   TEXT,
    config     TEXT,
    list       TEXT,              -- the index that the manifest was chosen from
    policy     TEXT,
    scope      TEXT,
    outcome    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    message    TEXT NOT NULL,
    signers    TEXT NOT NULL,     -- JSON
    namespace  TEXT NOT NULL,
    pod        TEXT NOT NULL
) STRICT;
CREATE INDEX decision_key ON decision (name, policy, outcome);
CREATE INDEX decision_config ON decision (config);
CREATE INDEX decision_at ON decision (at);

-- Manifests, indexes and signatures, each once.
CREATE TABLE content (
    digest TEXT PRIMARY KEY,
    bytes  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The last search for signatures of a document in the name of a repository: finding none is a
-- result, not having looked is none.
CREATE TABLE search (
    repository TEXT NOT NULL,
    document   TEXT NOT NULL,
    searched   TEXT NOT NULL,     -- JSON
    PRIMARY KEY (repository, document)
) STRICT, WITHOUT ROWID;
CREATE TABLE signature (
    repository TEXT NOT NULL,
    document   TEXT NOT NULL,
    number     INTEGER NOT NULL,
    content    TEXT NOT NULL,
    PRIMARY KEY (repository, document, number),
    FOREIGN KEY (repository, document) REFERENCES search ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
"];

/// What every connection says first.
///
/// `synchronous = NORMAL`: with a write-ahead log a killed process loses nothing and a power cut at
/// most the last rows, never the file. Lost rows are decided again, so no pull waits for the disk.
pub(super) const CONNECT: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
";

pub(super) const QUICK_CHECK: &str = "PRAGMA quick_check(1)";

pub(super) const ADD_DECISION: &str = "
INSERT INTO decision (at, door, pull_id, name, manifest, config, list, policy, scope, outcome, reason,
    message, signers, namespace, pod)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

pub(super) const ADD_CONTENT: &str =
    "INSERT OR IGNORE INTO content (digest, bytes) VALUES (?1, ?2)";

pub(super) const FORGET_SEARCH: &str = "DELETE FROM search WHERE repository = ?1 AND document = ?2";

pub(super) const ADD_SEARCH: &str =
    "INSERT INTO search (repository, document, searched) VALUES (?1, ?2, ?3)";

pub(super) const ADD_SIGNATURE: &str =
    "INSERT INTO signature (repository, document, number, content) VALUES (?1, ?2, ?3, ?4)";

/// The last verdict about an image, which any of its digests names, under a name and a policy.
pub(super) const VERDICT: &str = "
SELECT outcome, manifest, config, list FROM decision
WHERE name = ?1 AND policy = ?2 AND outcome IN ('accepted', 'rejected')
    AND ?3 IN (manifest, config, list)
ORDER BY id DESC LIMIT 1";

/// An image that lost its names is still one of those that it was accepted as.
pub(super) const NAMES: &str = "
SELECT name FROM decision WHERE config = ?1 AND outcome = 'accepted'
GROUP BY name ORDER BY max(id) DESC LIMIT 8";

pub(super) const SEARCH: &str =
    "SELECT searched FROM search WHERE repository = ?1 AND document = ?2";

pub(super) const SIGNATURES: &str = "
SELECT content.bytes FROM signature JOIN content ON content.digest = signature.content
WHERE repository = ?1 AND document = ?2 ORDER BY number";

pub(super) const CONTENT: &str = "SELECT bytes FROM content WHERE digest = ?1";

pub(super) const HISTORY: &str = "
SELECT at, door, pull_id, name, manifest, config, list, policy, scope, outcome, reason, message,
    signers, namespace, pod
FROM decision
WHERE (?1 IS NULL OR instr(name, ?1) > 0 OR ?1 IN (manifest, config, list))
    AND (?2 IS NULL OR namespace = ?2)
    AND (?3 IS NULL OR outcome = ?3)
    AND (?4 IS NULL OR at >= ?4)
ORDER BY id DESC LIMIT ?5";

pub(super) const COUNT: &str = "SELECT count(*) FROM decision";

/// The images that are on the node, by the digest of their configuration; nobody else sees it.
pub(super) const PRESENT: &str = "
CREATE TEMP TABLE IF NOT EXISTS present (config TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
DELETE FROM present;
CREATE TEMP TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY) STRICT;
";

pub(super) const ADD_PRESENT: &str = "INSERT OR IGNORE INTO present (config) VALUES (?1)";

/// The last verdict of each kind about an image that is on the node goes last.
pub(super) const KEEP: &str = "
DELETE FROM kept;
INSERT INTO kept (id)
SELECT max(id) FROM decision WHERE config IN (SELECT config FROM present)
    AND outcome IN ('accepted', 'rejected')
GROUP BY name, config, policy";

pub(super) const DROP_OLD: &str = "
DELETE FROM decision WHERE id IN
    (SELECT id FROM decision WHERE at < ?1 AND id NOT IN (SELECT id FROM kept) LIMIT ?2)";

pub(super) const DROP_OLDEST: &str = "
DELETE FROM decision WHERE id IN
    (SELECT id FROM decision WHERE id NOT IN (SELECT id FROM kept) ORDER BY id LIMIT ?1)";

pub(super) const DROP_OLDEST_KEPT: &str =
    "DELETE FROM decision WHERE id IN (SELECT id FROM decision ORDER BY id LIMIT ?1)";

/// What no decision needs any more.
pub(super) const DROP_ORPHANS: &str = "
DELETE FROM search WHERE document NOT IN
    (SELECT manifest FROM decision WHERE manifest IS NOT NULL
     UNION SELECT list FROM decision WHERE list IS NOT NULL);
DELETE FROM content WHERE digest NOT IN
    (SELECT manifest FROM decision WHERE manifest IS NOT NULL
     UNION SELECT list FROM decision WHERE list IS NOT NULL
     UNION SELECT content FROM signature);
";

pub(super) const BYTES_USED: &str = "
SELECT (page_count - freelist_count) * page_size
FROM pragma_page_count, pragma_freelist_count, pragma_page_size";

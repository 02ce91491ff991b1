//! Ledgers with many rows.

use std::path::Path;

/// Adds `count` accepted pulls of images that nobody asks for to a ledger that no daemon has open.
pub fn fill(ledger: &Path, count: u32) {
    let connection = rusqlite::Connection::open(ledger).expect("a ledger");
    let insert = "
        WITH RECURSIVE row(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM row WHERE number < ?1)
        INSERT INTO decision (at, door, pull_id, name, manifest, config, policy, scope, outcome,
            reason, message, signers, namespace, pod)
        SELECT unixepoch() * 1000000 - number, 'pull', printf('%032x', number),
            printf('registry.example/team/app-%d:v1', number % 1000),
            printf('sha256:%064x', number), printf('sha256:%064x', number + 7000000),
            printf('sha256:%064x', 1), 'registry.example', 'accepted', 'SIGNED', '', '[]',
            'default', printf('app-%d', number)
        FROM row WHERE ?1 > 0";
    connection.execute(insert, [count]).expect("rows to be added");
}

-- Outbox ids come from `counter`, so that they grow for ever without the extra page
-- that AUTOINCREMENT writes for each row. `message` is kind, a zero byte and the body,
-- packed together: a row must be small (chargerd/store/packing.py).
CREATE TABLE outbox (
    id        INTEGER PRIMARY KEY,
    thinnable INTEGER NOT NULL,
    message   BLOB    NOT NULL
);
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE kv (
    namespace TEXT NOT NULL,
    key       TEXT NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
CREATE TABLE session (
    id     INTEGER PRIMARY KEY,
    record TEXT NOT NULL
);

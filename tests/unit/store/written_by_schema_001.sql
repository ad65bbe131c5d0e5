-- A store as schema 1 wrote it. Never regenerate: it stands for files in the field.
BEGIN TRANSACTION;
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "counter" VALUES('outbox',256);
CREATE TABLE kv (
    namespace TEXT NOT NULL,
    key       TEXT NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
INSERT INTO "kv" VALUES('device_model','OCPPCommCtrlr.A','"5"');
CREATE TABLE migration (number INTEGER PRIMARY KEY, applied_utc TEXT NOT NULL);
INSERT INTO "migration" VALUES(1,'2026-11-23T08:28:15Z');
CREATE TABLE outbox (
    id        INTEGER PRIMARY KEY,
    kind      TEXT    NOT NULL,
    thinnable INTEGER NOT NULL,
    body      BLOB    NOT NULL
);
INSERT INTO "outbox" VALUES(3,'TransactionEvent',1,X'0178BB8EA54B8AAB866574C35A00170603AE');
CREATE TABLE session (
    id     INTEGER PRIMARY KEY,
    record TEXT NOT NULL
);
INSERT INTO "session" VALUES(1,'{"id": "s1"}');
COMMIT;

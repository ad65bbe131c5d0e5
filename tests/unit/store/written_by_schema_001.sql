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
INSERT INTO "migration" VALUES(1,'2026-11-23 08:52:55');
CREATE TABLE outbox (
    id        INTEGER PRIMARY KEY,
    thinnable INTEGER NOT NULL,
    message   BLOB    NOT NULL
);
INSERT INTO "outbox" VALUES(3,1,X'0178F9B48B63BEC3522E414B0DC35A009C5F0A36');
CREATE TABLE session (
    id     INTEGER PRIMARY KEY,
    record TEXT NOT NULL
);
INSERT INTO "session" VALUES(1,'{"id": "s1"}');
COMMIT;

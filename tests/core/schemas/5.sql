CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE chats (
    chat TEXT PRIMARY KEY, principal TEXT NOT NULL, label TEXT NOT NULL, created_at TEXT NOT NULL
, used_at TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE starts (
    chat TEXT NOT NULL, request_key TEXT NOT NULL, digest TEXT NOT NULL, process TEXT NOT NULL, place TEXT NOT NULL,
    boot TEXT NOT NULL, at INTEGER NOT NULL, is_confirmed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (chat, request_key)
) WITHOUT ROWID;
CREATE INDEX starts_by_age ON starts (at);
CREATE TABLE fills (
    engine TEXT NOT NULL, volume TEXT NOT NULL, created_at TEXT NOT NULL, PRIMARY KEY (engine, volume)
) WITHOUT ROWID;
CREATE TABLE intents (
    place TEXT PRIMARY KEY, kind TEXT NOT NULL, objects TEXT NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE secrets (
    place TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (place, name)
) WITHOUT ROWID;
CREATE TABLE provisions (
    chat TEXT NOT NULL, request_key TEXT NOT NULL, digest TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (chat, request_key)
) WITHOUT ROWID;
CREATE TABLE idle_stops (place TEXT PRIMARY KEY, idle_stop_s INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE disk_holds (
    place TEXT PRIMARY KEY, container TEXT NOT NULL, size INTEGER NOT NULL, quota_mib INTEGER NOT NULL,
    until INTEGER NOT NULL, is_final INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE devcontainers (
    engine TEXT NOT NULL, container TEXT NOT NULL, folder BLOB NOT NULL, config BLOB NOT NULL, body TEXT NOT NULL,
    at INTEGER NOT NULL, PRIMARY KEY (engine, container)
);
CREATE TABLE devcontainer_keys (
    folder BLOB NOT NULL, config BLOB NOT NULL, name TEXT NOT NULL, error TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (folder, config)
);
CREATE TABLE devcontainer_errors (
    engine TEXT NOT NULL, folder BLOB NOT NULL, config BLOB NOT NULL, error TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (engine, folder, config)
);

CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE chats (
    chat TEXT PRIMARY KEY, principal TEXT NOT NULL, label TEXT NOT NULL, created_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE starts (
    chat TEXT NOT NULL, request_key TEXT NOT NULL, digest TEXT NOT NULL, process TEXT NOT NULL, place TEXT NOT NULL,
    boot TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (chat, request_key)
) WITHOUT ROWID;
CREATE INDEX starts_by_age ON starts (at);
CREATE TABLE fills (
    engine TEXT NOT NULL, volume TEXT NOT NULL, created_at TEXT NOT NULL, PRIMARY KEY (engine, volume)
) WITHOUT ROWID;

-- Users, and what was changed when. The triggers make any way of changing users known to running services,
-- `sqlite3 users.db 'DELETE FROM users …'` included.

CREATE TABLE users (
    name      TEXT    NOT NULL PRIMARY KEY CHECK (length(name) > 0),
    password  TEXT    NOT NULL,
    superuser BOOLEAN NOT NULL DEFAULT FALSE CHECK (superuser IN (0, 1)),
    disabled  BOOLEAN NOT NULL DEFAULT FALSE CHECK (disabled IN (0, 1)),
    -- JSON: ["operators"]
    roles     TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(roles) AND json_type(roles) = 'array'),
    -- JSON: [{"topic": "news/#", "subscribe": true, "qos": 1}]
    grants    TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(grants) AND json_type(grants) = 'array')
);

-- The revision of the last change: one row.
CREATE TABLE user_revision (
    one  BOOLEAN NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (one = 1),
    last BIGINT  NOT NULL,
    -- When this database was made, in milliseconds since 1970. Sessions from before are of users of another one.
    begun_at BIGINT NOT NULL
);
INSERT INTO user_revision (one, last, begun_at)
    VALUES (TRUE, 0, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER));

-- The last change of everybody who is or was there.
CREATE TABLE user_changes (
    name        TEXT   NOT NULL PRIMARY KEY,
    revision    BIGINT NOT NULL UNIQUE,
    -- The last change that sessions from before it may not outlive: another password, disabled, removed, there again.
    -- 0: none. Who is new has no sessions to lose.
    credentials BIGINT NOT NULL,
    -- Milliseconds since 1970.
    changed_at  BIGINT NOT NULL
);
CREATE INDEX user_changes_changed_at ON user_changes (changed_at);

CREATE TRIGGER users_added AFTER INSERT ON users
BEGIN
    UPDATE user_revision SET last = last + 1;
    INSERT INTO user_changes (name, revision, credentials, changed_at)
        SELECT NEW.name, last, 0, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
        FROM user_revision WHERE TRUE
        ON CONFLICT (name) DO UPDATE SET
            revision = excluded.revision, credentials = excluded.revision, changed_at = excluded.changed_at;
END;

CREATE TRIGGER users_removed AFTER DELETE ON users
BEGIN
    UPDATE user_revision SET last = last + 1;
    INSERT INTO user_changes (name, revision, credentials, changed_at)
        SELECT OLD.name, last, last, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
        FROM user_revision WHERE TRUE
        ON CONFLICT (name) DO UPDATE SET
            revision = excluded.revision, credentials = excluded.credentials, changed_at = excluded.changed_at;
END;

CREATE TRIGGER users_renamed AFTER UPDATE OF name ON users WHEN NEW.name <> OLD.name
BEGIN
    UPDATE user_revision SET last = last + 1;
    INSERT INTO user_changes (name, revision, credentials, changed_at)
        SELECT OLD.name, last, last, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
        FROM user_revision WHERE TRUE
        ON CONFLICT (name) DO UPDATE SET
            revision = excluded.revision, credentials = excluded.credentials, changed_at = excluded.changed_at;
END;

CREATE TRIGGER users_changed AFTER UPDATE ON users
BEGIN
    UPDATE user_revision SET last = last + 1;
    INSERT INTO user_changes (name, revision, credentials, changed_at)
        SELECT NEW.name, last,
            CASE WHEN NEW.name = OLD.name AND NEW.password = OLD.password AND NEW.disabled <= OLD.disabled
                THEN coalesce((SELECT credentials FROM user_changes WHERE name = NEW.name), last)
                ELSE last
            END,
            CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
        FROM user_revision WHERE TRUE
        ON CONFLICT (name) DO UPDATE SET
            revision = excluded.revision, credentials = excluded.credentials, changed_at = excluded.changed_at;
END;

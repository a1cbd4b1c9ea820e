-- Users, and what was changed when. The triggers make any way of changing users known to running services,
-- `psql -c 'DELETE FROM users …'` included.

CREATE TABLE users (
    name      text    NOT NULL PRIMARY KEY CHECK (length(name) > 0),
    password  text    NOT NULL,
    superuser boolean NOT NULL DEFAULT false,
    disabled  boolean NOT NULL DEFAULT false,
    -- JSON: ["operators"]
    roles     text    NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(roles::jsonb) = 'array'),
    -- JSON: [{"topic": "news/#", "subscribe": true, "qos": 1}]
    grants    text    NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(grants::jsonb) = 'array')
);

-- The revision of the last change: one row. Who changes a user locks it until the transaction ends, so that revisions
-- become visible in their order and no reader can step over one that is not committed yet, as it could with a
-- sequence.
CREATE TABLE user_revision (
    one      boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    last     bigint  NOT NULL,
    -- When this database was made. Sessions from before are of users of another one.
    begun_at bigint  NOT NULL
);

-- Milliseconds since 1970.
CREATE FUNCTION service_now() RETURNS bigint
    LANGUAGE sql AS 'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

INSERT INTO user_revision (one, last, begun_at) VALUES (true, 0, service_now());

-- By which rules services decide, as they told it last: one row.
CREATE TABLE service_rules (
    one        boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    revision   text    NOT NULL,
    -- Milliseconds since 1970: when these rules came, and when they were told last.
    changed_at bigint  NOT NULL,
    told_at    bigint  NOT NULL
);

-- The last change of everybody who is or was there.
CREATE TABLE user_changes (
    name        text   NOT NULL PRIMARY KEY,
    revision    bigint NOT NULL UNIQUE,
    -- The last change that sessions from before it may not outlive: another password, disabled, removed, there again.
    -- 0: none. Who is new has no sessions to lose.
    credentials bigint NOT NULL,
    -- Milliseconds since 1970.
    changed_at  bigint NOT NULL
);
CREATE INDEX user_changes_changed_at ON user_changes (changed_at);

CREATE FUNCTION note_user_change(changed text, new_credentials boolean) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    new_revision bigint;
BEGIN
    UPDATE user_revision SET last = last + 1 RETURNING last INTO STRICT new_revision;
    INSERT INTO user_changes AS known (name, revision, credentials, changed_at)
        VALUES (changed, new_revision, 0, service_now())
        ON CONFLICT (name) DO UPDATE SET
            revision = excluded.revision,
            credentials = CASE WHEN new_credentials THEN excluded.revision ELSE known.credentials END,
            changed_at = excluded.changed_at;
    PERFORM pg_notify('tidegate_users', '');
END
$$;

CREATE FUNCTION users_changed() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM note_user_change(NEW.name, true);
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM note_user_change(OLD.name, true);
    ELSIF NEW.name <> OLD.name THEN
        PERFORM note_user_change(OLD.name, true);
        PERFORM note_user_change(NEW.name, true);
    ELSE
        PERFORM note_user_change(NEW.name, NEW.password <> OLD.password OR (NEW.disabled AND NOT OLD.disabled));
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_changed AFTER INSERT OR UPDATE OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION users_changed();

CREATE FUNCTION users_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE would hide who is gone from running services: use DELETE FROM users';
END
$$;

CREATE TRIGGER users_truncated BEFORE TRUNCATE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION users_truncated();

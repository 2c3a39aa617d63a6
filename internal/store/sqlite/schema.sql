-- The interface between shadowsync and an application without a user database
-- of its own. The application reads "credential"; running as root it may write there too.
-- Columns are only ever added; a change of meaning raises user_version.
CREATE TABLE credential (
  name          TEXT PRIMARY KEY NOT NULL
                CHECK (typeof(name) = 'text' AND length(name) BETWEEN 1 AND 256),
  -- the password field of shadow(5): a crypt(5) hash, "*", or empty; one "!" before it: locked
  password      TEXT NOT NULL
                CHECK (typeof(password) = 'text' AND length(password) <= 4096),
  -- the day fields of shadow(5), in days since 1970-01-01 or in days; NULL: empty
  last_change   INTEGER CHECK (last_change   IS NULL OR (typeof(last_change)   = 'integer' AND last_change   BETWEEN 1 AND 2147483647)),
  -- 1: a new password must be set at the next login; last_change does not count then
  must_change   INTEGER NOT NULL DEFAULT 0 CHECK (must_change IN (0, 1)),
  min_days      INTEGER CHECK (min_days      IS NULL OR (typeof(min_days)      = 'integer' AND min_days      BETWEEN 0 AND 2147483647)),
  max_days      INTEGER CHECK (max_days      IS NULL OR (typeof(max_days)      = 'integer' AND max_days      BETWEEN 0 AND 2147483647)),
  warn_days     INTEGER CHECK (warn_days     IS NULL OR (typeof(warn_days)     = 'integer' AND warn_days     BETWEEN 0 AND 2147483647)),
  inactive_days INTEGER CHECK (inactive_days IS NULL OR (typeof(inactive_days) = 'integer' AND inactive_days BETWEEN 0 AND 2147483647)),
  expire_day    INTEGER CHECK (expire_day    IS NULL OR (typeof(expire_day)    = 'integer' AND expire_day    BETWEEN 0 AND 2147483647)),
  -- milliseconds since 1970-01-01 UTC, kept by the triggers whoever writes
  changed_at    INTEGER NOT NULL DEFAULT 0
);

-- One row. Its value is another one after every change, and never one that was there before,
-- so that a database restored from a backup and changed since is seen as changed.
CREATE TABLE revision (
  id    INTEGER PRIMARY KEY CHECK (id = 1),
  value TEXT NOT NULL
);
INSERT INTO revision VALUES (1, hex(randomblob(16)));

CREATE TRIGGER credential_inserted AFTER INSERT ON credential BEGIN
  UPDATE credential SET changed_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) WHERE name = NEW.name;
  UPDATE revision SET value = hex(randomblob(16));
END;
CREATE TRIGGER credential_updated
AFTER UPDATE OF name, password, last_change, must_change, min_days, max_days, warn_days, inactive_days, expire_day ON credential BEGIN
  UPDATE credential SET changed_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) WHERE name = NEW.name;
  UPDATE revision SET value = hex(randomblob(16));
END;
CREATE TRIGGER credential_deleted AFTER DELETE ON credential BEGIN
  UPDATE revision SET value = hex(randomblob(16));
END;

PRAGMA user_version = 1;

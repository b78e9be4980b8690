-- Accounts: users, their sessions, and the single-use links they get by mail. One text for SQLite and PostgreSQL.
-- Of every token only the SHA-256 digest is stored, in hexadecimal: who reads the table can use none of them.

CREATE TABLE users (
    id            UUID        NOT NULL PRIMARY KEY,
    email         TEXT        NOT NULL CONSTRAINT users_email_key UNIQUE,
    name          TEXT        NOT NULL,
    password_hash TEXT        NOT NULL,
    role          TEXT        NOT NULL CONSTRAINT users_role_check CHECK (role IN ('member', 'editor', 'admin')),
    is_active     BOOLEAN     NOT NULL,
    verified_at   TIMESTAMPTZ,
    created_at    TIMESTAMPTZ NOT NULL,
    updated_at    TIMESTAMPTZ NOT NULL
);

-- A browser has the token of its session in a cookie; a program has a row in refresh_tokens for each it was given.
CREATE TABLE sessions (
    id          UUID        NOT NULL PRIMARY KEY,
    user_id     UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    cookie_hash TEXT        CONSTRAINT sessions_cookie_hash_key UNIQUE,
    agent       TEXT        NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    seen_at     TIMESTAMPTZ NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL, -- if it is not used again
    ends_at     TIMESTAMPTZ NOT NULL  -- however much it is used
);

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    hash       TEXT NOT NULL PRIMARY KEY,
    session_id UUID NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    used_at    TIMESTAMPTZ
);

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

CREATE TABLE mailed_links (
    hash       TEXT        NOT NULL PRIMARY KEY,
    user_id    UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email      TEXT        NOT NULL, -- where it was sent
    purpose    TEXT        NOT NULL CONSTRAINT mailed_links_purpose_check CHECK (purpose IN ('verify', 'reset')),
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX mailed_links_by_user ON mailed_links (user_id);

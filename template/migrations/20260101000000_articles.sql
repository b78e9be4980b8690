-- Articles and their tags. One text for SQLite and PostgreSQL: SQLite takes UUID and TIMESTAMPTZ as plain type
-- names and stores 16 bytes and RFC 3339 text, which compare in the order of creation and of time.

CREATE TABLE articles (
    id           UUID        NOT NULL PRIMARY KEY,
    slug         TEXT        NOT NULL CONSTRAINT articles_slug_key UNIQUE,
    title        TEXT        NOT NULL,
    summary      TEXT        NOT NULL,
    body         TEXT        NOT NULL,
    status       TEXT        NOT NULL CONSTRAINT articles_status_check CHECK (status IN ('draft', 'published')),
    published_at TIMESTAMPTZ CONSTRAINT articles_published_at_check CHECK (published_at IS NOT NULL OR status = 'draft'),
    created_at   TIMESTAMPTZ NOT NULL,
    updated_at   TIMESTAMPTZ NOT NULL,
    version      BIGINT      NOT NULL CONSTRAINT articles_version_check CHECK (version >= 1)
);

CREATE TABLE article_tags (
    article_id UUID NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
    tag        TEXT NOT NULL,
    PRIMARY KEY (article_id, tag)
);

-- One index for each order of a list, with the id that makes a position in it unique.
CREATE INDEX articles_by_date ON articles (COALESCE(published_at, created_at), id);
CREATE INDEX articles_by_title ON articles (title, id);
CREATE INDEX article_tags_by_tag ON article_tags (tag, article_id);

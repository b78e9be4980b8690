//! Which value of a request stands behind a constraint of the database: the one table of them all.{% capture body %}

use sqlx::Error;

use super::engine;

/// The constraint and the field. `SQLite` names columns instead of what is unique or must be given.
const FIELDS: &[(&str, &str)] = &[
    ("articles_slug_key", "slug"),
    ("articles.slug", "slug"),
    ("articles.title", "title"),
    ("articles.summary", "summary"),
    ("articles.body", "body"),
    ("articles.status", "status"),
    ("articles_status_check", "status"),
    ("articles_published_at_check", "published_at"),
    ("article_tags_pkey", "tags"),
    ("article_tags.article_id", "tags"), //~{% if features contains "auth" %}
    ("users_email_key", "email"),
    ("users.email", "email"),
    ("users.name", "name"),
    ("users_role_check", "role"),
    ("sessions_user_id_fkey", "user"),
    ("mailed_links.email", "email"),
    ("mailed_links_user_id_fkey", "user"),
    ("mailed_links_purpose_check", "purpose"), //~{% endif %}
];

/// The field whose value broke a constraint, if the table knows it.
pub(super) fn field(error: &Error) -> Option<&'static str> {
    let Error::Database(error) = error else {
        return None;
    };
    let broken = engine::constraint(&**error)?;
    let known = FIELDS.iter().find(|(constraint, _)| *constraint == broken);
    known.map(|(_, field)| *field)
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}

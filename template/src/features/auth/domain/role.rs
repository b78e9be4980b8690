//! Roles and what they permit: whatever is not listed here is forbidden.

use crate::domain::error::Invalid;

/// What a route may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    WriteArticles,
    ManageUsers,
    /// Whatever no other permission is named for.
    WriteAnything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Whoever has registered: has an account and nothing else.
    Member,
    Editor,
    Admin,
}

impl Role {
    /// Whether the role includes `permission`.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        let granted: &[Permission] = match self {
            Self::Member => &[],
            Self::Editor => &[Permission::WriteArticles],
            Self::Admin => &[
                Permission::WriteArticles,
                Permission::ManageUsers,
                Permission::WriteAnything,
            ],
        };
        granted.contains(&permission)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    /// # Errors
    /// If `text` is none of the names.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let roles = [Self::Member, Self::Editor, Self::Admin];
        let found = roles.into_iter().find(|role| role.as_str() == text);
        found.ok_or(Invalid("must be member, editor or admin"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_permits_what_is_listed_and_nothing_else() {
        for (role, articles, users) in [
            (Role::Member, false, false),
            (Role::Editor, true, false),
            (Role::Admin, true, true),
        ] {
            assert_eq!(role.may(Permission::WriteArticles), articles, "{role:?}");
            assert_eq!(role.may(Permission::ManageUsers), users, "{role:?}");
            assert_eq!(role.may(Permission::WriteAnything), users, "{role:?}");
            assert_eq!(Role::parse(role.as_str()), Ok(role));
        }
        assert!(Role::parse("root").is_err());
    }
}

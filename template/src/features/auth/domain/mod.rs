//! Who may do what: users, their passwords, and the permissions of their roles. Imports nothing outward.

mod password;
mod role;
mod user;

pub use password::Password;
pub use role::{Permission, Role};
pub use user::{Email, Name, User, UserId};

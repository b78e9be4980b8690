//! Accounts as clients send and receive them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::{Validate, ValidationError};

use crate::domain::error::Invalid;
use crate::features::auth::accounts::Registration;
use crate::features::auth::domain::{Email, Name, Password, Role, User};
use crate::features::auth::error::AuthError;
use crate::features::auth::sessions::{Caller, Tokens};
use crate::features::auth::storage::Session;

/// Bytes of a value that is only compared.
const LONGEST_INPUT: usize = 1024;

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationBody {
    #[validate(custom(function = email_rule))]
    #[schema(format = Email, max_length = 254)]
    email: String,
    #[validate(custom(function = name_rule))]
    #[schema(min_length = 1, max_length = 80)]
    name: String,
    #[validate(custom(function = input_rule))]
    #[schema(format = Password, min_length = 12, max_length = 128)]
    password: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    #[validate(custom(function = input_rule))]
    #[schema(format = Email)]
    pub email: String,
    #[validate(custom(function = input_rule))]
    #[schema(format = Password)]
    pub password: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshBody {
    pub refresh_token: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailBody {
    #[validate(custom(function = email_rule))]
    #[schema(format = Email, max_length = 254)]
    email: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBody {
    /// What the link in the mail ends with.
    pub token: String,
    #[schema(format = Password)]
    pub password: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetBody {
    /// What the link in the mail ends with.
    pub token: String,
    #[validate(custom(function = input_rule))]
    #[schema(format = Password, min_length = 12, max_length = 128)]
    pub password: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePasswordBody {
    #[validate(custom(function = input_rule))]
    #[schema(format = Password)]
    pub current_password: String,
    #[validate(custom(function = input_rule))]
    #[schema(format = Password, min_length = 12, max_length = 128)]
    pub new_password: String,
}

/// What is not sent stays as it is.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileBody {
    #[validate(custom(function = name_rule))]
    #[schema(min_length = 1, max_length = 80)]
    name: Option<String>,
    /// It counts when the link in the mail is opened that goes there.
    #[validate(custom(function = email_rule))]
    #[schema(format = Email, max_length = 254)]
    email: Option<String>,
    /// For another address.
    #[validate(custom(function = input_rule))]
    #[schema(format = Password)]
    current_password: Option<String>,
}

/// What is not sent stays as it is.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessBody {
    #[validate(custom(function = role_rule))]
    #[schema(value_type = Option<RoleName>)]
    role: Option<String>,
    pub is_active: Option<bool>,
}

fn rule<T>(parsed: Result<T, Invalid>) -> Result<(), ValidationError> {
    parsed
        .map(drop)
        .map_err(|rule| ValidationError::new("domain").with_message(rule.0.into()))
}

fn email_rule(email: &str) -> Result<(), ValidationError> {
    rule(Email::parse(email))
}

fn name_rule(name: &str) -> Result<(), ValidationError> {
    rule(Name::parse(name))
}

fn role_rule(role: &str) -> Result<(), ValidationError> {
    rule(Role::parse(role))
}

fn input_rule(text: &str) -> Result<(), ValidationError> {
    let is_short = text.len() <= LONGEST_INPUT;
    rule(is_short.then_some(()).ok_or(Invalid("is too long")))
}

impl TryFrom<RegistrationBody> for Registration {
    type Error = AuthError;

    fn try_from(body: RegistrationBody) -> Result<Self, AuthError> {
        let email = Email::parse(&body.email).map_err(|rule| AuthError::Wrong("email", rule))?;
        let name = Name::parse(&body.name).map_err(|rule| AuthError::Wrong("name", rule))?;
        let password = Password::parse(&body.password, &email, &name);
        Ok(Self {
            password: password.map_err(|rule| AuthError::Wrong("password", rule))?,
            email,
            name,
        })
    }
}

impl EmailBody {
    pub fn email(&self) -> Result<Email, AuthError> {
        Email::parse(&self.email).map_err(|rule| AuthError::Wrong("email", rule))
    }
}

impl ProfileBody {
    pub fn name(&self) -> Result<Option<Name>, AuthError> {
        let name = self.name.as_deref().map(Name::parse).transpose();
        name.map_err(|rule| AuthError::Wrong("name", rule))
    }

    /// The new address, and the password that allows it.
    pub fn email(&self) -> Result<Option<(Email, &str)>, AuthError> {
        let email = self.email.as_deref().map(Email::parse).transpose();
        let email = email.map_err(|rule| AuthError::Wrong("email", rule))?;
        let password = self.current_password.as_deref().unwrap_or_default();
        Ok(email.map(|email| (email, password)))
    }
}

impl AccessBody {
    pub fn role(&self) -> Result<Option<Role>, AuthError> {
        let role = self.role.as_deref().map(Role::parse).transpose();
        role.map_err(|rule| AuthError::Wrong("role", rule))
    }
}

#[derive(Serialize, ToSchema)]
pub struct TokenDocument {
    /// For `Authorization: Bearer …`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: u64,
    /// Gets the next pair, once.
    refresh_token: String,
}

impl From<Tokens> for TokenDocument {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access,
            token_type: "Bearer",
            expires_in: tokens.access_ttl.as_secs(),
            refresh_token: tokens.refresh.expose().to_owned(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    Member,
    Editor,
    Admin,
}

#[derive(Serialize, ToSchema)]
pub struct UserDocument {
    id: Uuid,
    email: String,
    name: String,
    role: RoleName,
    is_active: bool,
    /// When the address was confirmed.
    verified_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<User> for UserDocument {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email.to_string(),
            name: user.name.to_string(),
            role: match user.role {
                Role::Member => RoleName::Member,
                Role::Editor => RoleName::Editor,
                Role::Admin => RoleName::Admin,
            },
            is_active: user.is_active,
            verified_at: user.verified_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct UserList {
    pub items: Vec<UserDocument>,
    /// Send it as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Uuid>,
}

#[derive(Serialize, ToSchema)]
pub struct SessionDocument {
    id: Uuid,
    /// Whether it is the one that asks.
    is_current: bool,
    /// A browser with a cookie; otherwise a program with tokens.
    is_browser: bool,
    /// What the client says it is.
    agent: String,
    created_at: DateTime<Utc>,
    /// To the minute.
    seen_at: DateTime<Utc>,
    /// Unless it is used before.
    expires_at: DateTime<Utc>,
}

impl SessionDocument {
    pub fn new(session: Session, caller: &Caller) -> Self {
        Self {
            is_current: session.id == caller.session,
            id: session.id,
            is_browser: session.is_browser,
            agent: session.agent,
            created_at: session.created_at,
            seen_at: session.seen_at,
            expires_at: session.expires_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct SessionList {
    pub items: Vec<SessionDocument>,
}

//! Errors as clients see them, health, and what is around every request.

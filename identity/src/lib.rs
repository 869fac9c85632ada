//! Who somebody is, and what must be forgettable: keys, passwords, sessions, secrets.

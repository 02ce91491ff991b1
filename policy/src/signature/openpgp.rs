//! OpenPGP: keyrings, and signed messages verified with sequoia-openpgp.

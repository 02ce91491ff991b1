//! Simple signing: the JSON payload of an OpenPGP-signed message (containers-signature(5)).

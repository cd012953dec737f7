"""The proofs: one file per room, and flow, contract, layers, public API, README."""

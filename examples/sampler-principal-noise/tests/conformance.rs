//! The built library goes through Expanse's conformance kit.

expanse_sdk::test_conformance!();

//! __NAME__: programs run by burn's CPU backend in pure Rust.
//!
//! This is an example that works. Put another burn backend in its place, and say what machine it needs.

use expanse_sdk::{Backend, Device, Error, Host, NoOptions, Plugin, burn::backend::Flex};

struct __TYPE__;

impl Plugin for __TYPE__ {
    const NAME: &'static str = "__NAME__";
    const SUMMARY: &'static str = "the CPU in pure Rust, by burn-flex";
    type Options = NoOptions;

    fn new(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl Backend for __TYPE__ {
    type Burn = Flex;

    fn device(&self, _: &Host) -> Result<Device<Flex>, Error> {
        // Where the machine lacks the device, answer `Error::input` and say what is missing.
        Ok(Device { burn: Default::default(), name: "CPU (burn-flex)".into() })
    }
}

expanse_sdk::export_backend!(__TYPE__);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_needs_no_options() {
        assert!(__TYPE__::new(NoOptions {}).is_ok());
    }
}

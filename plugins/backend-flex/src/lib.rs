//! The CPU in pure Rust: burn's `flex` backend.

use burn_flex::{Flex, FlexDevice};
use expanse_sdk::{Backend, Device, Error, Host, NoOptions, Plugin};

struct FlexBackend;

impl Plugin for FlexBackend {
    const NAME: &'static str = "flex";
    const SUMMARY: &'static str = "the CPU in pure Rust, by burn-flex";
    type Options = NoOptions;

    fn new(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl Backend for FlexBackend {
    type Burn = Flex;

    fn device(&self, _: &Host) -> Result<Device<Flex>, Error> {
        Ok(Device { burn: FlexDevice, name: "CPU (burn-flex)".into() })
    }
}

expanse_sdk::export_backend!(FlexBackend);

//! Plugins of the four kinds besides samplers, written against version 0.1.0 of the boundary alone: every entry
//! answers something that a test can recognise.

use expanse_abi::{
    BackendObject, BackendObject_TO, ErrorCode, Fallible, HostServices_Ref, PluginError, RecorderObject,
    RecorderObject_TO, SessionBox, SessionObject, SessionObject_TO, TensorMut, TensorRef,
    abi_stable::{
        erased_types::TD_Opaque,
        library,
        prefix_type::PrefixTypeTrait,
        std_types::{RErr, ROk, RSlice, RSliceMut, RStr, RString, RVec},
    },
};
use expanse_program::{Header, NamedTensor, Program, tensors_to_bytes};

fn manifest(dialect: &str) -> RString {
    format!(
        r#"{{"version":"1.0.0","sdk":"0.1.0","dialect":{dialect},"plugins":[{{"name":"frozen","summary":"built against version 0.1.0 of the boundary","options":{{"type":"object","properties":{{}}}}}}]}}"#
    )
    .into()
}

extern "C" fn describe() -> Fallible<RString> {
    ROk(manifest("null"))
}

extern "C" fn init(_: HostServices_Ref) -> Fallible<()> {
    ROk(())
}

fn tensors() -> RVec<u8> {
    let tensor = NamedTensor { name: "frozen".into(), shape: vec![2], values: vec![1.0, 2.0] };
    tensors_to_bytes(&[tensor]).unwrap().into()
}

#[allow(dead_code)]
struct Recorder;

impl RecorderObject for Recorder {
    fn record(&self, request: RStr<'_>) -> Fallible<RVec<u8>> {
        let header = Header {
            dialect: String::new(),
            source: format!("frozen for {request}"),
            sha256: String::new(),
            inputs: vec![],
            outputs: vec![],
            parameters: vec![],
            constants: vec![],
            multiply_adds: 7,
        };
        ROk(Program::seal(header, vec![1, 2, 3], vec![]).to_bytes().unwrap().into())
    }

    fn initialize(&self, _: RStr<'_>, seed: u64) -> Fallible<RVec<u8>> {
        let tensor = NamedTensor { name: "frozen".into(), shape: vec![1], values: vec![seed as f32] };
        ROk(tensors_to_bytes(&[tensor]).unwrap().into())
    }
}

#[allow(dead_code)]
struct Device;

impl BackendObject for Device {
    fn device(&self) -> Fallible<RString> {
        ROk(r#"{"name":"frozen","threads":1}"#.into())
    }

    fn missing_operations(&self, _: RSlice<'_, u8>) -> Fallible<RString> {
        ROk(r#"["Frozen"]"#.into())
    }

    fn open_session(&self, _: RStr<'_>) -> Fallible<SessionBox> {
        ROk(SessionObject_TO::from_value(Session(Vec::new()), TD_Opaque))
    }
}

struct Session(Vec<f32>);

impl SessionObject for Session {
    fn load(&mut self, programs: RSlice<'_, RSlice<'_, u8>>) -> Fallible<usize> {
        ROk(programs.len())
    }

    fn import(&mut self, kind: u8, _: RSlice<'_, u8>) -> Fallible<()> {
        match kind {
            0 => ROk(()),
            _ => RErr(PluginError {
                code: ErrorCode::INPUT,
                message: "frozen takes no optimiser state".into(),
                detail: "{}".into(),
            }),
        }
    }

    fn export(&self, _: u8) -> Fallible<RVec<u8>> {
        ROk(tensors())
    }

    fn step(&mut self, program: usize, _: RSlice<'_, TensorRef<'_>>, learning_rate: f64) -> Fallible<()> {
        self.0.push(program as f32 + learning_rate as f32);
        ROk(())
    }

    fn losses(&mut self) -> Fallible<RVec<f32>> {
        ROk(std::mem::take(&mut self.0).into())
    }

    fn forward(
        &mut self,
        _: usize,
        inputs: RSlice<'_, TensorRef<'_>>,
        mut outputs: RSliceMut<'_, TensorMut<'_>>,
    ) -> Fallible<()> {
        for output in outputs.iter_mut() {
            output.data.as_mut_slice().fill(inputs.len() as f32);
        }
        ROk(())
    }

    fn gradients(&mut self, _: usize, _: RSlice<'_, TensorRef<'_>>) -> Fallible<RVec<u8>> {
        ROk(tensors())
    }
}

macro_rules! root {
    ($feature:literal, $root:ident, $reference:ident, $object:ident, $value:expr) => {
        #[cfg(feature = $feature)]
        mod exported {
            use super::*;
            extern "C" fn open(_: RStr<'_>, _: RStr<'_>) -> Fallible<expanse_abi::$object> {
                ROk($value)
            }
            extern "C" fn root() -> library::RootModuleResult {
                library::__call_root_module_loader(|| -> expanse_abi::$reference {
                    expanse_abi::$root { manifest: describe, init, open }.leak_into_prefix()
                })
            }
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            static HEADER: library::LibHeader = unsafe {
                library::LibHeader::from_constructor::<expanse_abi::$reference>(root, library::CheckTypeLayout::Yes)
            };
        }
    };
}
root!("backbone", BackboneRoot, BackboneRoot_Ref, RecorderBox, RecorderObject_TO::from_value(Recorder, TD_Opaque));
root!("head", HeadRoot, HeadRoot_Ref, RecorderBox, RecorderObject_TO::from_value(Recorder, TD_Opaque));
root!("loss", LossRoot, LossRoot_Ref, RecorderBox, RecorderObject_TO::from_value(Recorder, TD_Opaque));
root!("backend", BackendRoot, BackendRoot_Ref, BackendBox, BackendObject_TO::from_value(Device, TD_Opaque));

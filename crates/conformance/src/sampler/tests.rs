use expanse_abi::{
    SamplerObject, SamplerObject_TO,
    abi_stable::{erased_types::TD_Opaque, std_types::RResult},
};

use super::*;

/// Where a sampler writes and reads that it should not.
#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    WritesBetween,
    ReadsBetween,
}

struct Copies(Flaw);

impl SamplerObject for Copies {
    fn resample(&self, request: SampleRequest<'_>, mut output: SampleOutput<'_>) -> Fallible<RString> {
        let MatrixRef { data, cols, stride, .. } = request.features;
        let step = if self.0 == Flaw::ReadsBetween { cols } else { stride };
        let classes = (0u32..).zip(request.wanted.as_slice());
        let classes = classes.flat_map(|(class, &wanted)| (0..wanted).map(move |_| class));
        for (to, class) in classes.enumerate() {
            let base = request.labels.iter().position(|label| *label == class).unwrap_or(0);
            let row = &mut output.features.data[to * output.features.stride..];
            row[..cols].copy_from_slice(&data[base * step..][..cols]);
            if self.0 == Flaw::WritesBetween && row.len() > cols {
                row[cols] = 0.0;
            }
            output.labels[to] = class;
        }
        RResult::ROk("{}".into())
    }
}

fn verdicts(flaw: Flaw) -> [Result<(), String>; 2] {
    let object = SamplerObject_TO::from_value(Copies(flaw), TD_Opaque);
    [guards(&object), strides(&object)].map(|verdict| {
        verdict.map_err(|reason| match reason {
            Reason::Failed(why) | Reason::NotApplicable(why) => why,
        })
    })
}

#[test]
fn writing_and_reading_between_rows_is_found() {
    assert_eq!(verdicts(Flaw::None), [Ok(()), Ok(())]);
    let outside = "it writes outside of its rows".to_owned();
    assert_eq!(verdicts(Flaw::WritesBetween)[0], Err(outside));
    let between = "what lies between rows changes what it makes".to_owned();
    assert_eq!(verdicts(Flaw::ReadsBetween)[1], Err(between));
}

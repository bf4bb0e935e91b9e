//! The one list of checks. A check's name stays the same from version to version.

use expanse_host::Kind;

use crate::{backend, every_kind, kept, optimizers, outcome::Verdict, recorder, sampler, subject::Subject};

/// One thing that a plugin must do.
pub(crate) struct Check {
    pub name: &'static str,
    /// The kinds that it applies to.
    pub kinds: &'static [Kind],
    pub run: fn(&Subject<'_>) -> Verdict,
    /// Whether the process cannot check anything else afterwards.
    pub last: bool,
}

const EVERY: &[Kind] = &Kind::ALL;
const PARTS: &[Kind] = &[Kind::Backbone, Kind::Head, Kind::Loss];
const SAMPLER: &[Kind] = &[Kind::Sampler];
const BACKEND: &[Kind] = &[Kind::Backend];

macro_rules! check {
    ($name:literal, $kinds:ident, $run:path) => {
        Check { name: $name, kinds: $kinds, run: $run, last: false }
    };
    ($name:literal, $kinds:ident, $run:path, last) => {
        Check { name: $name, kinds: $kinds, run: $run, last: true }
    };
}

/// Every check, in the order in which they run.
pub(crate) const ALL: &[Check] = &[
    // Before anything else has started a pool of threads.
    check!("thread-budget", EVERY, every_kind::thread_budget),
    check!("manifest", EVERY, every_kind::manifest),
    check!("option-defaults", EVERY, every_kind::option_defaults),
    check!("unknown-option", EVERY, every_kind::unknown_option),
    check!("wrong-options", EVERY, every_kind::wrong_options),
    check!("options-out-of-range", EVERY, every_kind::options_out_of_range),
    check!("initialised-twice", EVERY, every_kind::initialised_twice),
    check!("log", EVERY, every_kind::log),
    check!("two-instances", EVERY, every_kind::two_instances),
    check!("eight-threads", EVERY, every_kind::eight_threads),
    check!("opened-and-dropped", EVERY, every_kind::opened_and_dropped),
    check!("device", BACKEND, backend::device),
    check!("operations-lacking", BACKEND, backend::operations_lacking),
    check!("other-dialect", BACKEND, backend::other_dialect),
    check!("damaged-programs", BACKEND, backend::damaged_programs),
    check!("damaged-tensors", BACKEND, backend::damaged_tensors),
    check!("round-trip", BACKEND, backend::round_trip),
    check!("gradient", BACKEND, backend::gradient),
    check!("evaluation-changes-nothing", BACKEND, backend::evaluation_changes_nothing),
    check!("hundred-steps", BACKEND, backend::hundred_steps),
    check!("continues", BACKEND, backend::continues),
    check!("optimizers", BACKEND, optimizers::optimizers),
    check!("kept-images", BACKEND, kept::kept_images),
    check!("isolated-sessions", BACKEND, backend::isolated_sessions),
    check!("ports", PARTS, recorder::ports),
    check!("parameters", PARTS, recorder::parameters),
    check!("first-values", PARTS, recorder::first_values),
    check!("same-program", PARTS, recorder::same_program),
    check!("batch-sizes", PARTS, recorder::batch_sizes),
    check!("replay", PARTS, recorder::replay),
    check!("gradient", PARTS, recorder::gradient),
    check!("overlapping-numbers", PARTS, recorder::overlapping_numbers),
    check!("bad-requests", PARTS, recorder::bad_requests),
    check!("exact-counts", SAMPLER, sampler::exact_counts),
    check!("finite-output", SAMPLER, sampler::finite_output),
    check!("provenance", SAMPLER, sampler::provenance),
    check!("input-untouched", SAMPLER, sampler::input_untouched),
    check!("guard-rows", SAMPLER, sampler::guard_rows),
    check!("wide-stride", SAMPLER, sampler::wide_stride),
    check!("same-seed", SAMPLER, sampler::same_seed),
    check!("other-seed", SAMPLER, sampler::other_seed),
    check!("nothing-wanted", SAMPLER, sampler::nothing_wanted),
    check!("one-row", SAMPLER, sampler::one_row),
    check!("duplicates", SAMPLER, sampler::duplicates),
    check!("more-neighbours-than-rows", SAMPLER, sampler::more_neighbours_than_rows),
    check!("drawn-requests", SAMPLER, sampler::requests::drawn_requests),
    check!("extreme-values", SAMPLER, sampler::requests::extreme_values),
    check!("enemy-shares", SAMPLER, sampler::requests::enemy_shares),
    check!("not-a-number", SAMPLER, sampler::not_a_number),
    check!("bad-requests", SAMPLER, sampler::bad_requests),
    check!("works-after-an-error", SAMPLER, sampler::requests::works_after_an_error),
    check!("golden-numbers", SAMPLER, sampler::golden_numbers),
    check!("panic", EVERY, every_kind::panic),
    check!("cancelled", SAMPLER, sampler::cancelled, last),
];

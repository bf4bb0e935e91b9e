use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use expanse_host::{Bare, Host, HostError, Kind, set_threads};

use crate::{
    Plan, References, Task,
    checks::{self, Check},
    golden,
    outcome::Reason,
    records::Records,
    subject::Subject,
    task::Event,
};

/// Does a task in this process and tells the supervising one.
///
/// # Errors
///
/// Nothing can be told: the supervising process is gone.
pub fn child(
    task: &Task,
    host: &Host,
    references: impl FnOnce(&Host) -> Result<References, HostError>,
) -> io::Result<()> {
    let mut events = OpenOptions::new().append(true).open(&task.events)?;
    set_threads(task.threads);
    let records = Records::install();
    let opened = open(host, &task.library).and_then(|bare| Ok((bare, references(host)?)));
    let (bare, references) = match opened {
        Ok(opened) => opened,
        Err(error) => return tell(&mut events, &Event::Refused(error.to_string())),
    };
    let golden = match task.golden.as_deref().map(golden::read).transpose() {
        Ok(golden) => golden,
        Err(why) => return tell(&mut events, &Event::Refused(why)),
    };
    let subjects: Vec<Subject<'_>> = bare
        .manifest()
        .plugins
        .iter()
        .map(|entry| Subject {
            bare: &bare,
            entry,
            options: task.options.clone(),
            references: &references,
            golden: golden.as_ref(),
            records,
            threads: task.threads,
        })
        .collect();
    let steps = steps(&subjects, bare.kind());
    let names = steps.iter().map(|(subject, check)| (subject.entry.name.clone(), check.name.to_owned()));
    let version = bare.manifest().version.clone();
    tell(&mut events, &Event::Plan(Plan { kind: bare.kind(), version, checks: names.collect() }))?;
    if task.only_digest {
        return digest(&mut events, &subjects);
    }
    for (index, (subject, check)) in steps.iter().enumerate().skip(task.from) {
        tell(&mut events, &Event::Begin(index))?;
        tell(&mut events, &Event::End(index, (check.run)(subject).into()))?;
    }
    tell(&mut events, &Event::Done)
}

/// Opens a library as what its root module says it is.
fn open(host: &Host, path: &Path) -> Result<Bare, HostError> {
    match host.bare(Kind::Sampler, path) {
        Err(HostError::OtherKind { found, path, kind }) => {
            match Kind::ALL.into_iter().find(|kind| kind.name() == found) {
                Some(other) => host.bare(other, &path),
                None => Err(HostError::OtherKind { found, path, kind }),
            }
        }
        opened => opened,
    }
}

/// All checks for the kind, plugin after plugin; what the process does not recover from comes last.
fn steps<'a>(subjects: &'a [Subject<'a>], kind: Kind) -> Vec<(&'a Subject<'a>, &'static Check)> {
    let of = |last: bool| {
        let checks =
            checks::ALL.iter().filter(move |check| check.kinds.contains(&kind) && check.last == last);
        subjects.iter().flat_map(move |subject| checks.clone().map(move |check| (subject, check)))
    };
    of(false).chain(of(true)).collect()
}

fn digest(events: &mut File, subjects: &[Subject<'_>]) -> io::Result<()> {
    let mut text = String::new();
    for subject in subjects {
        match crate::sampler::digest(subject) {
            Ok(digest) => text += &digest,
            Err(Reason::Failed(why) | Reason::NotApplicable(why)) => {
                return tell(events, &Event::Refused(why));
            }
        }
    }
    tell(events, &Event::Digest(text))?;
    tell(events, &Event::Done)
}

/// One write for an event, so that a crash never leaves half of one before another.
fn tell(events: &mut File, event: &Event) -> io::Result<()> {
    let line = serde_json::to_string(event)? + "\n";
    events.write_all(line.as_bytes())
}

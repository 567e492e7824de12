//! Never worse than the recipe: wherever the lines that people write by hand make a working
//! connection of a handshake and an answer, `websocket on` with its defaults does so too, unless the
//! deviation is one of those that `docs/security.md` argues.
//!
//! [`handshakes`] and [`answers`] are the tables; each row is a deviation from a right handshake or
//! from the right answer to it.

mod answers;
mod exception;
mod handshakes;
mod world;

use exception::Exception;
use handshakes::Handshake;
use world::{Ending, World};

#[test]
fn every_handshake_that_the_recipe_carries_is_carried() {
    let world = World::permissive();
    let handshakes = handshakes::all();
    assert!(handshakes.len() >= 200, "{} handshakes", handshakes.len());
    let tried = handshakes.iter().map(|handshake| {
        let ending = world.try_both(&handshake.bytes);
        (handshake.name.clone(), handshake.exception, ending)
    });
    compare(tried.collect());
}

#[test]
fn every_answer_that_the_recipe_carries_is_carried() {
    let answers = answers::all();
    assert!(answers.len() >= 60, "{} answers", answers.len());
    let tried = answers.into_iter().map(|answer| {
        let world = World::answering(answer.bytes);
        let ending = world.try_both(&Handshake::offering().bytes);
        (answer.name, answer.exception, ending)
    });
    compare(tried.collect());
}

/// What was tried, the reason why it may end otherwise, and how it ended by the recipe and with the
/// module.
type Tried = Vec<(String, Option<Exception>, (Ending, Ending))>;

/// Reports all that is worse than the recipe, and every exception that is none.
#[track_caller]
fn compare(tried: Tried) {
    let mut wrong = Vec::new();
    let mut carried = 0;
    for (name, exception, (recipe, module)) in &tried {
        let is_worse = *recipe == Ending::Works && *module != Ending::Works;
        carried += usize::from(*recipe == Ending::Works);
        match exception {
            None if is_worse => wrong.push(format!("{name}: {module:?}, by hand it works")),
            Some(reason) if !is_worse => wrong.push(format!(
                "{name}: {reason:?} is no exception, by hand {recipe:?}, here {module:?}"
            )),
            _ => {}
        }
    }
    assert_eq!(wrong, [""; 0], "{} of {}", wrong.len(), tried.len());
    assert!(
        carried * 2 > tried.len(),
        "the recipe carries {carried} only"
    );
}

/// Each exception is one that operators are told of.
#[test]
fn every_exception_is_argued() {
    let manual = include_str!("../../../docs/security.md");
    let (_, refused) = manual
        .split_once("## What is refused")
        .expect("the section on it");
    let (refused, _) = refused.split_once("\n## ").expect("another section");
    let refused = refused.split_whitespace().collect::<Vec<_>>().join(" ");
    for exception in Exception::ALL {
        let words = exception.in_the_manual();
        assert!(refused.contains(words), "{words}");
    }
}

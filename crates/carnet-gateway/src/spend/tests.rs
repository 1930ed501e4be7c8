//! What is reserved, extended and settled, without a server around it.

use carnet_limits::{Claim, Ledger, Limit, Window};
use carnet_provenance::{Confidence, Evidence, Figures, PerMillion, Validity};
use carnet_wire::form::{PromptExcludingCached, PromptIncludingCached};

use super::*;

fn price(input: &str, output: &str, write: &str) -> Arc<Price> {
    let figure = |text: &str| text.parse::<PerMillion>().unwrap();
    Arc::new(Price {
        name: "m".to_owned(),
        currency: "USD".parse().unwrap(),
        figures: Figures {
            input: figure(input),
            output: Some(figure(output)),
            cached_input: Some(figure("0.5")),
            cache_write: Some(figure(write)),
        },
        long_prompts: None,
        note: None,
        evidence: Evidence {
            source: "somebody".into(),
            date: None,
            confidence: Confidence::High,
        },
        valid: Validity::default(),
    })
}

fn spending(price: Option<Arc<Price>>, cuts: &[&str]) -> Spending {
    let metering = Metering {
        limit: "t".into(),
        price,
        cuts: cuts.iter().map(|name| (*name).into()).collect(),
    };
    let estimate = Estimate {
        prompt: 100,
        output: 50,
    };
    let mut spending = Spending::new(metering, Tokenizer::of(["davinci"]), estimate);
    spending.answered(true);
    spending.listen(Dialect::Chat, Some(Framing::EventStream));
    spending
}

fn held(limits: &[(&Limit, u64)]) -> Reservation {
    let claims: Vec<Claim<'_>> = limits
        .iter()
        .map(|(limit, amount)| Claim {
            limit,
            who: "",
            amount: *amount,
        })
        .collect();
    Ledger::reserve(&claims, now()).unwrap()
}

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn says(words: usize) -> String {
    let text = " word".repeat(words);
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

fn usage(prompt: u64, cached: u64, output: u64) -> Usage {
    let PromptExcludingCached(rest) = PromptIncludingCached(prompt).excluding(cached, 0);
    Usage {
        prompt: Some(PromptExcludingCached(rest)),
        cache_read: Some(cached),
        output: Some(output),
        ..Usage::default()
    }
}

#[test]
fn the_dearest_that_may_happen_is_reserved_and_the_cheapest_that_did_is_settled() {
    let ledger = Ledger::default();
    let tokens = ledger.limit(&"t".into(), Measure::Tokens, Window::Day, 1_000);
    let money = ledger.limit(&"m".into(), Measure::Money, Window::Day, 1_000_000_000);
    let mut spending = spending(Some(price("2", "10", "2.5")), &[]);
    assert_eq!(spending.tokens(), 150);
    // A hundred tokens that may all go into a cache, and fifty of the answer.
    assert_eq!(spending.cost(), 100 * 2_500 + 50 * 10_000);
    let mut held = held(&[(&tokens, spending.tokens()), (&money, spending.cost())]);
    spending.told(&usage(90, 40, 10));
    let (counted, spend) = spending
        .settle(Outcome::Completed, true, Some(&mut held), now())
        .told();
    assert_eq!(
        (counted.input, counted.cache_read, counted.output),
        (90, 40, 10)
    );
    assert!(!counted.estimated);
    assert_eq!(tokens.used("", now()), 100);
    assert_eq!(money.used("", now()), 50 * 2_000 + 40 * 500 + 10 * 10_000);
    assert_eq!(spend.cost.as_deref(), Some("0.00022"));
    assert_eq!(spend.reserved_cost.as_deref(), Some("0.00075"));
    assert_eq!(spend.currency.as_deref(), Some("USD"));
    assert_eq!(spend.price.as_deref(), Some("somebody"));
}

#[test]
fn what_grows_takes_more_in_steps_and_ends_only_where_the_limit_says_so() {
    for (cuts, ends) in [(&["t"][..], true), (&[][..], false)] {
        let ledger = Ledger::default();
        let limit = ledger.limit(&"t".into(), Measure::Tokens, Window::Day, 1_000);
        let mut spending = spending(None, cuts);
        let mut held = held(&[(&limit, 150)]);
        let mut heard = |words| spending.heard(says(words).as_bytes(), true, Some(&mut held), now);
        assert_eq!(heard(50), Ok(()));
        assert_eq!(limit.used("", now()), 150);
        assert_eq!(heard(1), Ok(()));
        assert_eq!(limit.used("", now()), 151 + RESERVED_STEP_TOKENS);
        assert_eq!(heard(RESERVED_STEP_TOKENS as usize), Ok(()));
        assert_eq!(limit.used("", now()), 151 + RESERVED_STEP_TOKENS);
        // A step is not left any more, but so much is.
        assert_eq!(heard(1), Ok(()));
        assert_eq!(limit.used("", now()), 664);
        let refused = heard(337);
        assert_eq!(refused.is_err(), ends);
        let (counted, spend) = spending
            .settle(Outcome::Cut, true, Some(&mut held), now())
            .told();
        assert_eq!((counted.input, counted.output), (100, 901));
        assert!(counted.estimated);
        assert!(spend.over);
        assert_eq!(limit.used("", now()), 1_001);
    }
}

#[test]
fn what_is_known_least_counts_most() {
    for (stage, stream, outcome, told, said, want) in [
        // Told, and whole.
        (
            Stage::Answered,
            true,
            Outcome::Completed,
            true,
            9,
            (90, 10, false),
        ),
        // Told before the end, and more has come since.
        (
            Stage::Answered,
            true,
            Outcome::ClientGone,
            true,
            30,
            (90, 30, true),
        ),
        (
            Stage::Answered,
            true,
            Outcome::ClientGone,
            true,
            3,
            (90, 10, false),
        ),
        // Not told.
        (
            Stage::Answered,
            true,
            Outcome::Completed,
            false,
            30,
            (100, 30, true),
        ),
        (
            Stage::Answered,
            true,
            Outcome::UpstreamError,
            false,
            30,
            (100, 30, true),
        ),
        // Not awaited: a service may make all of it.
        (
            Stage::Answered,
            false,
            Outcome::ClientGone,
            false,
            0,
            (100, 50, true),
        ),
        (
            Stage::Sent,
            false,
            Outcome::Timeout,
            false,
            0,
            (100, 50, true),
        ),
        (
            Stage::Sent,
            true,
            Outcome::ClientGone,
            false,
            0,
            (100, 0, true),
        ),
        // It came to nothing.
        (
            Stage::Sent,
            false,
            Outcome::UpstreamError,
            false,
            0,
            (100, 0, true),
        ),
        (
            Stage::Failed,
            false,
            Outcome::Completed,
            false,
            0,
            (0, 0, false),
        ),
    ] {
        let mut spending = spending(None, &[]);
        spending.stage = stage;
        if told {
            spending.told(&usage(90, 0, 10));
        }
        if said > 0 {
            spending
                .heard(says(said).as_bytes(), true, None, now)
                .unwrap();
        }
        let (counted, _) = spending.settle(outcome, stream, None, now()).told();
        let found = (counted.input, counted.output, counted.estimated);
        assert_eq!(found, want, "{stage:?} {stream} {outcome:?} {told} {said}");
    }
}

//! What the order promises: a change to the thing itself first, the same first place when the onset is wrong by two
//! minutes, and no say for the order in which candidates come.

use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

/// So many seconds before the onset, which is at 0.
fn one(kind: Changing, near: Near, before: i64) -> Candidate {
    Candidate {
        at: at(-before),
        kind,
        object: format!("{kind:?} {near:?}"),
        what: format!("a {kind:?}"),
        near,
        size: 1.0,
        fit: 1.0,
        why: String::new(),
        evidence: "E1".to_owned(),
    }
}

fn first(candidates: &[Candidate], onset: DateTime<Utc>) -> String {
    rank(candidates, onset).first().map(|one| one.object.clone()).unwrap_or_default()
}

/// Changes that can set trouble off.
const CULPRITS: [(Changing, Near); 9] = [
    (Changing::Rollout, Near::Itself),
    (Changing::Rollout, Near::Callee),
    (Changing::Config, Near::Uses),
    (Changing::Config, Near::Service),
    (Changing::Config, Near::Callee),
    (Changing::Node, Near::Node),
    (Changing::Scaling, Near::Itself),
    (Changing::Scaling, Near::Callee),
    (Changing::Event, Near::Callee),
];

/// What comes with any trouble, whatever set it off: signs at the onset, an autoscaler and people after it, other
/// workloads before it, and a revision of long ago.
fn company(signs: i64, neighbour: i64, response: i64, old: i64) -> Vec<Candidate> {
    let mut all = vec![
        one(Changing::Log, Near::Itself, signs),
        one(Changing::Series, Near::Itself, signs + 20),
        one(Changing::Series, Near::Callee, signs + 40),
        one(Changing::Rollout, Near::Neighbour, neighbour),
        one(Changing::Scaling, Near::Owner, -response),
        one(Changing::Config, Near::Itself, -response - 60),
    ];
    all.push(Candidate { object: "old".to_owned(), ..one(Changing::Rollout, Near::Itself, old) });
    all
}

proptest! {
    /// The culprit stands first, and stays there when the onset is wrong by up to two minutes.
    #[test]
    fn a_wrong_onset_does_not_change_the_first_place(
        culprit in 0..CULPRITS.len(),
        before in 0..600_i64,
        (signs, neighbour, response, old) in (-30..60_i64, 0..600_i64, 300..900_i64, 3_600..5_400_i64),
        wrong in -120..=120_i64,
    ) {
        let (kind, near) = CULPRITS[culprit];
        let mut all = company(signs, neighbour, response, old);
        all.push(Candidate { object: "culprit".to_owned(), ..one(kind, near, before) });
        prop_assert_eq!(first(&all, at(wrong)), "culprit", "{:#?}", rank(&all, at(wrong)));
    }

    /// The order of the candidates makes no difference, any number is taken, and scores lie between 0 and 1.
    #[test]
    fn order_makes_no_difference(
        all in proptest::collection::vec((0..CULPRITS.len(), -400..6_000_i64, any::<f64>(), any::<f64>(), 0..3_u8), 0..20)
    ) {
        let candidate = |(which, before, size, fit, name): &(usize, i64, f64, f64, u8)| {
            let (kind, near) = CULPRITS[*which];
            Candidate { size: *size, fit: *fit, object: format!("o{name}"), ..one(kind, near, *before) }
        };
        let mut candidates: Vec<Candidate> = all.iter().map(candidate).collect();
        let ranked = rank(&candidates, at(0));
        prop_assert!(ranked.len() <= MAX_CHANGED);
        prop_assert!(ranked.iter().all(|one| (0.0..=1.0).contains(&one.score)));
        prop_assert!(ranked.iter().all(|one| (-TOLERANCE_SECS..=WINDOW_MINUTES * 60).contains(&one.seconds_before)));
        candidates.reverse();
        prop_assert_eq!(&ranked, &rank(&candidates, at(0)));
        candidates.rotate_left(all.len() / 2);
        prop_assert_eq!(ranked, rank(&candidates, at(0)));
    }

    /// The onset is never later than the alert, and the order of symptoms makes no difference.
    #[test]
    fn an_onset_is_no_later_than_the_alert(
        all in proptest::collection::vec((-40_000..4_000_i64, 0..4_000_i64), 0..12)
    ) {
        let mut symptoms: Vec<Symptom> =
            all.iter().map(|(from, long)| Symptom { from: at(*from), to: at(from + long) }).collect();
        let found = onset(&symptoms, Some(at(0))).unwrap();
        prop_assert!(found <= at(0) && found >= at(-6 * 3_600));
        symptoms.reverse();
        prop_assert_eq!(Some(found), onset(&symptoms, Some(at(0))));
    }
}

#[test]
fn a_line_says_what_when_and_where() {
    let rollout = Candidate {
        what: "rollout of revision 7 (image a:1 → a:2)".to_owned(),
        why: "only pods of this revision fail".to_owned(),
        ..one(Changing::Rollout, Near::Itself, 200)
    };
    let others = [one(Changing::Config, Near::Uses, 0), one(Changing::Node, Near::Node, -61)];
    let ranked = rank(&[rollout, others[0].clone(), others[1].clone()], at(0));
    let lines: Vec<&str> = ranked.iter().map(|one| one.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "rollout of revision 7 (image a:1 → a:2), 3 min before onset, the workload itself; only pods of this \
             revision fail",
            "a Config, at the onset, what it is configured with",
            "a Node, 1 min after onset, a node it runs on",
        ]
    );
}

#[test]
fn the_thing_itself_comes_first_and_what_fits_badly_later() {
    let same_time = [Near::Neighbour, Near::Caller, Near::Callee, Near::Owner, Near::Itself];
    let all: Vec<Candidate> = same_time.iter().map(|near| one(Changing::Rollout, *near, 60)).collect();
    let order: Vec<Near> = rank(&all, at(0)).iter().map(|one| one.near).collect();
    assert_eq!(order, [Near::Itself, Near::Owner, Near::Callee, Near::Caller, Near::Neighbour]);
    let refuted = Candidate { fit: 0.4, ..one(Changing::Rollout, Near::Itself, 60) };
    assert_eq!(first(&[refuted, one(Changing::Rollout, Near::Callee, 60)], at(0)), "Rollout Callee");
}

#[test]
fn one_change_told_by_several_is_one_and_what_is_out_of_time_none() {
    let object = || "Deployment shop/x".to_owned();
    let rollout = Candidate { object: object(), ..one(Changing::Rollout, Near::Itself, 60) };
    let write = Candidate { object: object(), ..one(Changing::Config, Near::Itself, 62) };
    let later = Candidate { object: object(), ..one(Changing::Config, Near::Itself, 20) };
    let kinds: Vec<Changing> = rank(&[write, later, rollout], at(0)).iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [Changing::Rollout, Changing::Config]);
    let out = [one(Changing::Rollout, Near::Itself, -200), one(Changing::Rollout, Near::Itself, 6_000)];
    assert_eq!(rank(&out, at(0)), []);
}

#[test]
fn the_first_symptom_that_leads_up_to_the_alert_is_the_onset() {
    let seen = |from: i64, to: i64| Symptom { from: at(from), to: at(to) };
    assert_eq!(onset(&[], None), None);
    assert_eq!(onset(&[], Some(at(0))), Some(at(0)));
    assert_eq!(onset(&[seen(-1_200, -60)], Some(at(0))), Some(at(-1_200)));
    // One leads to the next without a long pause.
    assert_eq!(onset(&[seen(-1_200, -60), seen(-4_000, -3_000)], Some(at(0))), Some(at(-4_000)));
    assert_eq!(onset(&[seen(-600, -60), seen(-9_000, -8_000)], Some(at(0))), Some(at(-600)));
    // It has gone on for days: the alert is about something else.
    assert_eq!(onset(&[seen(-90_000, -10)], Some(at(0))), Some(at(0)));
    assert_eq!(onset(&[seen(-90_000, -10)], None), Some(at(-90_000)));
}

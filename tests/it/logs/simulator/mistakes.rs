//! The mistakes that a process of the simulator may make, and the rules that they break.

use chitchat::trace::report::Rule;

macro_rules! mistakes {
    ($($name:ident $rule:ident $what:literal)*) => {
        /// One thing that a process does wrong, once.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mistake {
            $(#[doc = $what] $name,)*
        }

        impl Mistake {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The rule that one would name.
            pub fn rule(self) -> Rule {
                match self {
                    $(Self::$name => Rule::$rule,)*
                }
            }
        }
    };
}

impl Mistake {
    /// Another rule that also names the mistake, if it depends on what comes next.
    pub fn or(self) -> Option<Rule> {
        match self {
            // Nothing came after it but the leave.
            Self::DropsDelivery => Some(Rule::V9),
            // It came back before its own join had been delivered, so its position is from before that.
            Self::ResumesEarly => Some(Rule::V9),
            // A third message got the place that was promised.
            Self::AcksBeforeOrder => Some(Rule::V10),
            _ => None,
        }
    }
}

impl Mistake {
    /// Why a run in which it was made may not show it, as the specification says it (chapter 8: what no log can show); none
    /// where every run has to.
    pub fn may_hide(self) -> Option<&'static str> {
        match self {
            Self::MissesBeforeLeave => Some("a stream that broke may have lost it on the way"),
            Self::NeverExpires | Self::ExpiresLate => {
                Some("no record shows that the grace period was over before it came back")
            }
            Self::NeverAnswers => Some("that refusal may be its answer, lost on the way"),
            _ => None,
        }
    }
}

mistakes! {
    SkipsNumber V1 "The service leaves out a number."
    ReusesNumber V1 "Two events have one number."
    TellsUnrecorded V1 "An event is told and not recorded."
    RestartRenumbers V1 "A restart gives out numbers that are taken."
    IgnoresRequestTime V2 "The service's clock does not take the maximum."
    StampsEarly V2 "The time of the receipt is that of the event."
    StampsLate V2 "The clock has moved on when it is read."
    StampsTwice V2 "Two events have the same time."
    StampsWallClock V2 "The time of day is taken for a logical time."
    RestartForgetsClock V2 "A restart begins with another clock."
    TakesLeap V2 "A time far in the future is accepted."
    WelcomesWithOtherTime V3 "The Welcome tells another time than the event."
    TellsOtherTime V3 "A recipient is told another time."
    TellsOtherText V3 "A recipient is told another text."
    TellsOtherAuthor V3 "A recipient is told another author."
    TellsOtherName V3 "A recipient is told another name."
    TellsOtherId V3 "A recipient is told another message id."
    TellsOtherSeen V3 "A recipient is told another view of the writer."
    TellsOtherSent V3 "A recipient is told another time of the send."
    TellsOtherReason V3 "A recipient is told another reason of a leave."
    TellsOtherKind V3 "A recipient is told another kind of event."
    TellsPhantom V3 "A recipient is told what never happened."
    SwapsDeliveries V4 "Two events come in the wrong order."
    DropsDelivery V4 "An event is not delivered, but later ones are."
    RepeatsDelivery V4 "An event is delivered twice."
    ResumesLate V4 "A resumed stream begins one event too late."
    ResumesEarly V4 "A resumed stream begins with what had come."
    ResumesElsewhere V4 "A session is resumed in another epoch."
    SendsWhatIsNotDue V4 "A client drops a stream over an event that is not due."
    StreamSkips V4 "The service hands a stream what is not next in it."
    StreamRepeats V4 "The service hands a stream what it had."
    HandsToEnded V9 "The service hands events to a stream that has ended."
    TakesRetryForNew V5 "A repeated publish becomes a second message."
    RestartForgetsIds V5 "After a restart a known message id is new."
    SaysSeenLess V6 "A client says that it had seen less."
    SaysSeenMore V6 "A client says that it had seen more."
    SaysSeenFuture V6 "A client says that it had seen what is not there."
    SeesWhileWaiting V6 "What came while a message waited counts as seen."
    SendsWithoutTick V7 "A send does not move the clock."
    StampsOldTime V7 "A send has a time that the client had heard before."
    ClientIgnoresTime V7 "A client's clock does not take the maximum."
    DeliveryWithoutTick V7 "A delivery does not move the clock."
    ClockStartsAnew V7 "The clock of a client begins at 0 again."
    AckWithoutTick V7 "An acknowledgement does not move the clock."
    LeavesInThePast V7 "A leave is stamped with an old time."
    MessageFromNobody V8 "Somebody writes who never joined."
    MessageAfterLeave V8 "Somebody writes who has left."
    NameTwice V8 "Two participants have one name."
    LeavesTwice V8 "A leave is announced twice."
    JoinsTwice V8 "A join is announced twice."
    HidesOwnJoin V9 "A newcomer is not told its own join."
    TellsBefore V9 "A newcomer is told what was before it."
    MissesBeforeLeave V9 "What came before the leave is not delivered."
    TellsAfterLeave V9 "A participant is told events after its leave."
    HandsOutsideMembership V9 "The service hands a stream what was before the join."
    AcksOtherEvent V10 "An acknowledgement names another event."
    AcksOtherTime V10 "An acknowledgement tells another time."
    AcksAndLoses V10 "A publish is acknowledged but not recorded."
    AcksLeaveAndKeeps V10 "A leave is acknowledged but not recorded."
    AcksRetryOtherwise V10 "A repeated publish gets another answer."
    NeverAnswers V10 "A publish gets no answer, although its client stays connected."
    ChangesText V11 "The service changes a text for everybody."
    MakesUpSeen V11 "The service makes up what the writer had seen."
    MakesUpSent V11 "The service makes up the time of a send."
    MakesUpJoinTime V11 "The service makes up the time of a join's request."
    MakesUpLeaveTime V11 "The service makes up the time of a leave's request."
    OtherSentence V11 "An announcement tells another time."
    TakesLongText V11 "A text of 129 characters is accepted."
    TakesBadName V11 "A name with a control character is accepted."
    RefusesAndTells V11 "A refused message is broadcast."
    Forges V11 "A message appears that its writer never sent."
    LeavesUnasked V11 "A leave is said to be requested that nobody asked for."
    AcksBeforeOrder V12 "A message is acknowledged before it has its place."
    RestartLoses V13 "A restart has lost what was recorded."
    CopyHasOtherText V13 "A copy of the journal has another text."
    CopyHasOtherTime V13 "A copy of the journal has other times."
    ForgetsStream V14 "An open stream is handed nothing any more."
    ResumesSilently V14 "A resumed stream is handed nothing."
    NeverExpires V15 "Who vanished never leaves."
    ExpiresEarly V15 "Who lost its stream leaves before its grace is over."
    ExpiresLate V15 "Who vanished leaves long after its grace."
    ExpiresConnected V15 "Who has an open stream leaves as disconnected."
    ExpiresResumed V15 "Who came back in time leaves as disconnected."
}

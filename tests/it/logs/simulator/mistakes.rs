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

            /// The rule that the mistake breaks.
            pub fn rule(self) -> Rule {
                match self {
                    $(Self::$name => Rule::$rule,)*
                }
            }
        }
    };
}

impl Mistake {
    /// Another rule that may catch the mistake instead, depending on what comes next.
    pub fn or(self) -> Option<Rule> {
        match self {
            // Only the leave came after it.
            Self::DropsDelivery => Some(Rule::V9),
            // It came back before its own join had been delivered, so its position is from before that.
            Self::ResumesEarly => Some(Rule::V9),
            // A third message got the promised position.
            Self::AcksBeforeOrder => Some(Rule::V10),
            _ => None,
        }
    }
}

impl Mistake {
    /// Why a run may not show the mistake, in the specification's words (chapter 8: what no log can show). `None` if
    /// every run must show it.
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
    TellsUnrecorded V1 "An event is delivered but not recorded."
    RestartRenumbers V1 "A restart assigns numbers that are already taken."
    IgnoresRequestTime V2 "The service's clock does not take the maximum."
    StampsEarly V2 "The event is stamped with the time of the receipt."
    StampsLate V2 "The event is stamped after the clock has advanced."
    StampsTwice V2 "Two events have the same time."
    StampsWallClock V2 "The event is stamped with the time of day."
    RestartForgetsClock V2 "A restart begins with a different clock."
    TakesLeap V2 "A time far in the future is accepted."
    WelcomesWithOtherTime V3 "The Welcome has a different time than the event."
    TellsOtherTime V3 "A recipient gets a different time."
    TellsOtherText V3 "A recipient gets a different text."
    TellsOtherAuthor V3 "A recipient gets a different author."
    TellsOtherName V3 "A recipient gets a different name."
    TellsOtherId V3 "A recipient gets a different message id."
    TellsOtherSeen V3 "A recipient gets a different `seen_sequence`."
    TellsOtherSent V3 "A recipient gets a different time of the send."
    TellsOtherReason V3 "A recipient gets a different reason for a leave."
    TellsOtherKind V3 "A recipient gets a different kind of event."
    TellsPhantom V3 "A recipient gets an event that never happened."
    SwapsDeliveries V4 "Two events are delivered in the wrong order."
    DropsDelivery V4 "An event is not delivered, but later ones are."
    RepeatsDelivery V4 "An event is delivered twice."
    ResumesLate V4 "A resumed stream begins one event too late."
    ResumesEarly V4 "A resumed stream repeats an event."
    ResumesElsewhere V4 "A session is resumed in another epoch."
    SendsWhatIsNotDue V4 "A client ends a stream over an event that is not the next one."
    StreamSkips V4 "The service skips an event of a stream."
    StreamRepeats V4 "The service repeats an event of a stream."
    HandsToEnded V9 "The service hands events to a stream that has ended."
    TakesRetryForNew V5 "A repeated publish becomes a second message."
    RestartForgetsIds V5 "After a restart a known message id is taken for new."
    SaysSeenLess V6 "A client claims to have seen less than it had."
    SaysSeenMore V6 "A client claims to have seen more than it had."
    SaysSeenFuture V6 "A client claims to have seen events that do not exist."
    SeesWhileWaiting V6 "Events that arrived while a message waited count as seen."
    SendsWithoutTick V7 "A send does not advance the clock."
    StampsOldTime V7 "A send is stamped with a time that the client had already received."
    ClientIgnoresTime V7 "A client's clock does not take the maximum."
    DeliveryWithoutTick V7 "A delivery does not advance the clock."
    ClockStartsAnew V7 "The clock of a client starts again at 0."
    AckWithoutTick V7 "An acknowledgement does not advance the clock."
    LeavesInThePast V7 "A leave is stamped with an old time."
    MessageFromNobody V8 "A message comes from a participant that never joined."
    MessageAfterLeave V8 "A message comes from a participant that has left."
    NameTwice V8 "Two participants have one name."
    LeavesTwice V8 "A leave is announced twice."
    JoinsTwice V8 "A join is announced twice."
    HidesOwnJoin V9 "A new participant does not get its own join."
    TellsBefore V9 "A new participant gets an event from before its join."
    MissesBeforeLeave V9 "Events before a leave are not delivered."
    TellsAfterLeave V9 "A participant gets an event after its leave."
    HandsOutsideMembership V9 "The service hands a stream an event from before the join."
    AcksOtherEvent V10 "An acknowledgement names another event."
    AcksOtherTime V10 "An acknowledgement has a different time."
    AcksAndLoses V10 "A publish is acknowledged but not recorded."
    AcksLeaveAndKeeps V10 "A leave is acknowledged but not recorded."
    AcksRetryOtherwise V10 "A repeated publish gets a different answer."
    NeverAnswers V10 "A publish gets no answer although its client stays connected."
    ChangesText V11 "The service changes a text for all recipients."
    MakesUpSeen V11 "The service makes up what the writer had seen."
    MakesUpSent V11 "The service makes up the time of a send."
    MakesUpJoinTime V11 "The service makes up the time of a join's request."
    MakesUpLeaveTime V11 "The service makes up the time of a leave's request."
    OtherSentence V11 "An announcement has a different time."
    TakesLongText V11 "A text of 129 characters is accepted."
    TakesBadName V11 "A name with a control character is accepted."
    RefusesAndTells V11 "A refused message is broadcast."
    Forges V11 "A message appears that its writer never sent."
    LeavesUnasked V11 "A leave is marked as requested, but no request was made."
    AcksBeforeOrder V12 "A message is acknowledged before it has its position."
    RestartLoses V13 "A restart has lost what was recorded."
    CopyHasOtherText V13 "A copy of the journal has a different text."
    CopyHasOtherTime V13 "A copy of the journal has a different time."
    ForgetsStream V14 "An open stream is handed nothing more."
    ResumesSilently V14 "A resumed stream is handed nothing."
    NeverExpires V15 "A participant that vanished never leaves."
    ExpiresEarly V15 "A participant that lost its stream leaves before its grace period ends."
    ExpiresLate V15 "A participant that vanished leaves long after its grace period."
    ExpiresConnected V15 "A participant with an open stream leaves as disconnected."
    ExpiresResumed V15 "A participant that came back in time leaves as disconnected."
}

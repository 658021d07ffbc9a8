//! Properties that every transcript has.

/// Checks pairs of sequence and logical time: there is no gap, and times rise (V1, V2, V4).
#[track_caller]
pub fn check_transcript(transcript: &[(u64, u64)]) {
    for pair in transcript.windows(2) {
        let [(sequence, time), (next_sequence, next_time)] = pair else { unreachable!("windows of two") };
        assert_eq!(sequence + 1, *next_sequence, "no gap (V1, V4)");
        assert!(next_time >= &(time + 2), "times rise by at least two (V2): {time} and then {next_time}");
    }
}

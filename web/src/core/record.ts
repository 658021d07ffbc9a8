/** The records of the page's log. Made from src/log/record by `UPDATE_GENERATED=1 cargo test schema`. */

/** The fields of each record. */
export interface RecordFields {
  readonly client_started: {
    readonly display_name?: string;
    readonly epoch?: string;
    readonly participant_id?: string;
  };
  readonly join_sent: {
    readonly display_name?: string;
    readonly epoch?: string;
    readonly local_time: bigint;
    readonly participant_id?: string;
    readonly sent_logical_time: bigint;
    readonly sequence?: bigint;
  };
  readonly connected: {
    readonly display_name?: string;
    readonly epoch?: string;
    readonly local_time: bigint;
    readonly logical_time: bigint;
    readonly participant_id?: string;
    readonly sequence: bigint;
    readonly transport?: string;
  };
  readonly resumed: {
    readonly display_name?: string;
    readonly epoch?: string;
    readonly local_time: bigint;
    readonly logical_time: bigint;
    readonly participant_id?: string;
    readonly sequence: bigint;
    readonly transport?: string;
  };
  readonly disconnected: {
    readonly display_name?: string;
    readonly epoch?: string;
    readonly participant_id?: string;
    readonly reason: string;
  };
  readonly publish_queued: {
    readonly content: string;
    readonly display_name?: string;
    readonly epoch?: string;
    readonly message_id: string;
    readonly participant_id?: string;
    readonly seen_sequence: bigint;
  };
  readonly publish_sent: {
    readonly content: string;
    readonly display_name?: string;
    readonly epoch?: string;
    readonly local_time: bigint;
    readonly message_id: string;
    readonly participant_id?: string;
    readonly seen_sequence: bigint;
    readonly sent_logical_time: bigint;
  };
  readonly publish_acknowledged: {
    readonly display_name?: string;
    readonly epoch?: string;
    readonly local_time: bigint;
    readonly logical_time: bigint;
    readonly message_id: string;
    readonly participant_id?: string;
    readonly sequence: bigint;
  };
  readonly publish_refused: {
    readonly content?: string;
    readonly display_name?: string;
    readonly epoch?: string;
    readonly message_id?: string;
    readonly participant_id?: string;
    readonly reason: string;
  };
  readonly leave_sent: {
    readonly display_name?: string;
    readonly epoch?: string;
    readonly local_time: bigint;
    readonly participant_id?: string;
    readonly sent_logical_time: bigint;
  };
  readonly leave_acknowledged: {
    readonly display_name?: string;
    readonly epoch?: string;
    readonly local_time: bigint;
    readonly logical_time: bigint;
    readonly participant_id?: string;
    readonly sequence: bigint;
  };
  readonly event_delivered: {
    readonly content: string;
    readonly display_name?: string;
    readonly earlier?: boolean;
    readonly epoch?: string;
    readonly kind: "joined" | "left" | "message";
    readonly local_time?: bigint;
    readonly logical_time: bigint;
    readonly message_id?: string;
    readonly participant_id?: string;
    readonly reason?: string;
    readonly seen_sequence?: bigint;
    readonly sent_at?: string;
    readonly sent_logical_time?: bigint;
    readonly sequence: bigint;
  };
  readonly event_refused: {
    readonly display_name?: string;
    readonly epoch?: string;
    readonly expected_sequence?: bigint;
    readonly participant_id?: string;
    readonly reason: string;
    readonly sequence: bigint;
  };
  readonly client_stopped: {
    readonly display_name?: string;
    readonly epoch?: string;
    readonly participant_id?: string;
    readonly reason?: string;
  };
  readonly records_lost: {
    readonly count: bigint;
    readonly from_start?: boolean;
  };
}

/** The kinds of record. */
export type RecordEvent = keyof RecordFields;

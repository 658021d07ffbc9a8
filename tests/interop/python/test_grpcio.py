"""Python's grpcio against the real service."""

import subprocess

import grpc
from chitchat.v1 import chitchat_pb2 as pb
from participant import Participant, why
from processes import DEADLINE_SECONDS, PROGRAM, ServiceTest

# 128 characters, none of them ASCII: two to four bytes each, and some that combine with their neighbors.
LONGEST_TEXT = "æøåßñЖλאשلم漢字かな한글ไทย😀👩🏽‍🚀é\u0301\u202e\u200b\U0010ffff".ljust(128, "😀")


class GrpcioTest(ServiceTest):
    def joined(self, display_name: str) -> Participant:
        """A participant that has read its own Joined event."""
        participant = self.participant(display_name)
        participant.join()
        self.assertEqual(participant.next_event().participant.display_name, display_name)
        return participant

    def refused(self, code: grpc.StatusCode, reason: str, figures: dict, call) -> None:
        with self.assertRaises(grpc.RpcError) as refusal:
            call()
        info = why(refusal.exception)
        self.assertEqual(refusal.exception.code(), code)
        self.assertEqual((info.domain, info.reason, dict(info.metadata)), ("chitchat", reason, figures))

    def assert_lamport(self, events: list[pb.Event], sent: dict[int, int]) -> None:
        """Checks L = max(previous L, t) + 2 for every event, where t is the sender's clock: `sent`, by sequence."""
        time = 0
        for sequence, event in enumerate(events, start=1):
            time = max(time, sent[sequence]) + 2
            self.assertEqual((event.sequence, event.logical_time), (sequence, time))

    def test_a_newcomer_gets_a_welcome_its_own_joined_and_caught_up(self):
        alice = self.participant("alice")
        welcome = alice.join()
        self.assertEqual([member.display_name for member in welcome.participants], ["alice"])
        self.assertEqual(welcome.participants[0].participant_id, welcome.participant_id)
        self.assertFalse(welcome.resumed)
        # Joined with t = 1: received at 2, broadcast at 3. The Welcome has that time.
        self.assertEqual((welcome.head_sequence, welcome.logical_time), (1, 3))
        self.assertEqual((welcome.limits.text_characters_max, welcome.limits.name_characters_max), (128, 32))
        self.assertEqual(alice.clock, 4)

        joined = alice.next_frame().event
        self.assertEqual(joined.WhichOneof("kind"), "joined")
        self.assertEqual(joined.content, "Participant alice joined Chit Chat at logical time 3")
        self.assertEqual((joined.sequence, joined.logical_time), (1, 3))
        self.assertEqual(joined.participant, welcome.participants[0])
        self.assertEqual(alice.clock, 5)

        self.assertEqual(alice.next_frame().caught_up.sequence, 1)
        self.assertEqual(alice.clock, 5)

    def test_128_characters_of_any_script_reach_everyone_byte_for_byte(self):
        self.assertEqual(len(LONGEST_TEXT), 128)
        self.assertFalse(any(character.isascii() for character in LONGEST_TEXT))
        alice, bob = self.joined("alice"), self.joined("bob")
        alice.next_event()
        acknowledged = alice.publish(LONGEST_TEXT)
        for reader in (alice, bob):
            event = reader.next_event()
            self.assertEqual(event.content.encode(), LONGEST_TEXT.encode())
            self.assertEqual((event.sequence, event.logical_time),
                             (acknowledged.sequence, acknowledged.logical_time))

    def test_requests_may_be_compressed(self):
        alice = self.participant("alice", compression=grpc.Compression.Gzip)
        alice.join()
        alice.next_event()
        for text in ("a" * 128, "short"):
            alice.publish(text)
            self.assertEqual(alice.next_event().content, text)
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, "TEXT_TOO_LONG",
                     {"characters": "4000", "characters_max": "128"}, lambda: alice.publish("a" * 4000))
        # After decompression it is larger than any request may be.
        with self.assertRaises(grpc.RpcError) as refusal:
            alice.publish("a" * 1_000_000)
        self.assertEqual(why(refusal.exception).reason, "MALFORMED")

    def test_unknown_encodings_are_refused(self):
        alice = self.participant("alice", compression=grpc.Compression.Deflate)
        with self.assertRaises(grpc.RpcError) as refusal:
            alice.join()
        self.assertEqual(refusal.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_everyone_gets_the_same_events_at_times_by_lamports_rule(self):
        alice = self.participant("alice")
        alice.join()
        first = [alice.next_event()]
        bob = self.participant("bob")
        bob.join()
        sent = {1: 1, 2: 1}
        for writer, text in ((bob, "one"), (alice, "two"), (alice, "three"), (bob, "four")):
            time = writer.clock + 1
            sent[writer.publish(text, message_id=text).sequence] = time
        by_alice = first + [alice.next_event() for _ in range(5)]
        by_bob = [bob.next_event() for _ in range(5)]
        self.assertEqual(by_alice[1:], by_bob)
        self.assertEqual([event.content for event in by_bob[1:]], ["one", "two", "three", "four"])
        self.assert_lamport(by_alice, sent)
        for event in by_bob[1:]:
            self.assertEqual(event.message.sent_logical_time, sent[event.sequence])
            self.assertEqual(event.message.message_id, event.content)
        # A receiver's clock is later than any time that it has received.
        self.assertGreater(min(alice.clock, bob.clock), by_alice[-1].logical_time)

    def test_a_text_that_is_too_long_is_refused_with_its_length_and_the_limit(self):
        alice = self.joined("alice")
        figures = {"characters": "129", "characters_max": "128"}
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, "TEXT_TOO_LONG", figures,
                     lambda: alice.publish(LONGEST_TEXT + "æ"))
        # And it caused no event.
        self.assertEqual(alice.publish("short").sequence, 2)

    def test_a_taken_name_and_its_lookalikes_are_refused(self):
        self.joined("alice")
        for name in ("alice", "ALICE", "\u0430lice"):  # The last begins with a Cyrillic letter.
            with self.subTest(name):
                self.refused(grpc.StatusCode.ALREADY_EXISTS, "NAME_TAKEN", {}, self.participant(name).join)

    def test_a_repeated_message_id_gets_the_first_answer_and_makes_no_second_message(self):
        alice = self.joined("alice")
        first = alice.publish("once", message_id="m1")
        self.assertEqual(alice.publish("once", message_id="m1"), first)
        alice.publish("after", message_id="m2")
        self.assertEqual([alice.next_event().content for _ in range(2)], ["once", "after"])

    def test_earlier_events_are_listed_by_page(self):
        alice = self.joined("alice")
        for text in ("one", "two", "three"):
            alice.publish(text)
        streamed = [alice.next_event() for _ in range(3)]
        clock = alice.clock
        page = alice.list_events(after_sequence=0, page_size=3)
        self.assertEqual((list(page.events[1:]), page.has_more), (streamed[:2], True))
        page = alice.list_events(after_sequence=3)
        self.assertEqual((list(page.events), page.has_more), (streamed[2:], False))
        self.assertEqual(alice.clock, clock)

    def test_a_broken_stream_is_resumed_without_a_gap_unnoticed_by_others(self):
        alice, bob = self.joined("alice"), self.joined("bob")
        alice.next_event()
        alice.break_stream()
        missed = [bob.publish("one"), bob.publish("two")]
        welcome = alice.resume()
        self.assertTrue(welcome.resumed)
        self.assertEqual(welcome.head_sequence, missed[-1].sequence)
        by_alice = [alice.next_event() for _ in range(2)]
        self.assertEqual(alice.next_frame().caught_up.sequence, missed[-1].sequence)
        live = alice.publish("three")
        by_alice.append(alice.next_event())
        self.assertEqual([event.sequence for event in by_alice], [3, 4, live.sequence])
        self.assertEqual([bob.next_event() for _ in range(3)], by_alice)

    def test_a_leave_is_announced_and_ends_the_session(self):
        alice, bob = self.joined("alice"), self.joined("bob")
        alice.next_event()
        sent = bob.clock + 1
        left = bob.leave()
        self.assertRaises(StopIteration, bob.next_event)
        event = alice.next_event()
        self.assertEqual(event.left.reason, pb.LEAVE_REASON_REQUESTED)
        self.assertEqual(event.content, f"Participant bob left Chit Chat at logical time {left.logical_time}")
        self.assertEqual((event.sequence, event.logical_time), (left.sequence, left.logical_time))
        self.assert_lamport(alice.list_events(after_sequence=0).events, {1: 1, 2: 1, 3: sent})
        for call in (lambda: bob.publish("still here?"), bob.leave, lambda: bob.list_events(0), bob.resume):
            self.refused(grpc.StatusCode.UNAUTHENTICATED, "SESSION_UNKNOWN", {}, call)

    def test_the_reference_client_prints_the_same_events_at_the_same_times(self):
        alice, bob = self.joined("alice"), self.joined("bob")
        command = [PROGRAM, "join", "--plain", "--name", "carol"]
        command += ["--server", f"http://{self.address}", "--log-dir", self.folder]
        carol = self.start("carol", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        while (event := bob.next_event()).participant.display_name != "carol":
            pass
        events = [event]

        sent = {1: 1, 2: 1}
        carol.stdin.write("hello from Rust, æøå 😀\n")
        carol.stdin.flush()
        events.append(bob.next_event())
        for writer, text in ((alice, "hello from Python"), (bob, "漢字")):
            time = writer.clock + 1
            sent[writer.publish(text).sequence] = time
            events.append(bob.next_event())
        time = alice.clock + 1
        sent[alice.leave().sequence] = time
        events.append(bob.next_event())
        printed, _ = carol.communicate("/quit\n", timeout=DEADLINE_SECONDS)
        self.assertEqual(carol.returncode, 0)

        def line(event: pb.Event) -> str:
            writer = f"{event.participant.display_name}: " if event.HasField("message") else ""
            return f"[{event.logical_time}] {writer}{event.content}"

        self.assertEqual(printed.splitlines(), [line(event) for event in events])
        left = bob.next_event()
        self.assertEqual((left.participant.display_name, left.WhichOneof("kind")), ("carol", "left"))

        # The logical times that carol sent are in its own log.
        for kind, sequence in (("join_sent", 3), ("publish_sent", 4), ("leave_sent", left.sequence)):
            [record] = self.records("client-carol.jsonl", kind)
            sent[sequence] = record["sent_logical_time"]
        self.assert_lamport(bob.list_events(after_sequence=0).events, sent)
        delivered = self.records("client-carol.jsonl", "event_delivered")
        self.assertEqual([(record["sequence"], record["logical_time"], record["content"]) for record in delivered],
                         [(event.sequence, event.logical_time, event.content) for event in events])

"""A participant of Chit Chat, written from the proto file alone.

An example for clients in other languages: the state to keep is a Lamport clock, the session token from the Welcome, and
the position in the stream.
"""

import grpc
from chitchat.v1 import chitchat_pb2 as pb
from chitchat.v1.chitchat_pb2_grpc import ChitChatServiceStub
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status


class Participant:
    """One participant, with one stream at a time."""

    def __init__(self, channel: grpc.Channel, display_name: str, timeout: float | None = None):
        """`timeout` applies to every call, in seconds, including the stream; a real client's stream has none."""
        self.display_name = display_name
        self.clock = 0  # Lamport's C.
        self.position = 0  # The sequence of the last event that was received.
        self.welcome = pb.Welcome()
        self._service = ChitChatServiceStub(channel)
        self._timeout = timeout
        self._stream = None

    # What a participant does.

    def join(self) -> pb.Welcome:
        """Opens the stream. Its events, beginning with the participant's own Joined, are read with next_event."""
        return self._open(pb.JoinRequest(display_name=self.display_name, logical_time=self._sending()))

    def resume(self) -> pb.Welcome:
        """Continues after the last received event, with a new stream. The others do not notice."""
        after = pb.ResumePoint(
            session_token=self.welcome.session_token, epoch=self.welcome.epoch, after_sequence=self.position
        )
        return self._open(pb.JoinRequest(logical_time=self._sending(), resume=after))

    def publish(self, text: str, message_id: str = "") -> pb.PublishResponse:
        """Publishes one message. To try again after a lost connection, repeat it with its message_id."""
        request = pb.PublishRequest(
            session_token=self.welcome.session_token,
            text=text,
            logical_time=self._sending(),
            message_id=message_id,
            seen_sequence=self.position,
        )
        reply = self._service.Publish(request, timeout=self._timeout)
        self._received(reply.logical_time)
        return reply

    def leave(self) -> pb.LeaveResponse:
        """Leaves. The stream ends after the last event before the participant's own Left."""
        request = pb.LeaveRequest(session_token=self.welcome.session_token, logical_time=self._sending())
        reply = self._service.Leave(request, timeout=self._timeout)
        self._received(reply.logical_time)
        return reply

    def list_events(self, after_sequence: int, page_size: int = 0) -> pb.ListEventsResponse:
        """Lists earlier events, by page. This does not change the clock."""
        request = pb.ListEventsRequest(
            session_token=self.welcome.session_token, after_sequence=after_sequence, page_size=page_size
        )
        return self._service.ListEvents(request, timeout=self._timeout)

    # What a participant receives.

    def next_frame(self) -> pb.JoinResponse:
        """Waits for the next frame of the stream. Raises StopIteration if this participant has left."""
        frame = next(self._stream)
        match frame.WhichOneof("frame"):
            case "welcome":
                self.welcome = frame.welcome
                self._received(frame.welcome.logical_time)
            case "event":
                self.position = frame.event.sequence
                self._received(frame.event.logical_time)
            case "caught_up" | "heartbeat" | "presence":
                pass  # Not events, so the clock does not advance.
        return frame

    def next_event(self) -> pb.Event:
        """Waits for the next event."""
        while True:
            frame = self.next_frame()
            if frame.WhichOneof("frame") == "event":
                return frame.event

    def break_stream(self) -> None:
        """Drops the stream without leaving, as a lost connection would."""
        self._stream.cancel()

    # Lamport's rules.

    def _sending(self) -> int:
        self.clock += 1
        return self.clock

    def _received(self, logical_time: int) -> None:
        self.clock = max(self.clock, logical_time) + 1

    def _open(self, request: pb.JoinRequest) -> pb.Welcome:
        self._stream = self._service.Join(request, timeout=self._timeout)
        return self.next_frame().welcome


def why(error: grpc.RpcError) -> ErrorInfo:
    """The stable reason for a refusal, and its figures."""
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    return error_info(Status.FromString(details).details)


def error_info(details) -> ErrorInfo:
    """The ErrorInfo among the details of a status."""
    info = ErrorInfo()
    if not any(detail.Unpack(info) for detail in details):
        raise LookupError("no google.rpc.ErrorInfo")
    return info

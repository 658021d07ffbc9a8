"""`buf curl`, which is Go's connect-go, against the real service by gRPC over HTTP/2 without TLS."""

import base64
import json
import subprocess

from chitchat.v1 import chitchat_pb2 as pb
from google.protobuf.any_pb2 import Any
from google.protobuf.json_format import ParseDict
from grpc import StatusCode
from participant import error_info
from processes import DEADLINE_SECONDS, ROOT, ServiceTest

BUF = ROOT / "target/interop/node_modules/.bin/buf"


def values(text: str) -> list[dict]:
    """The complete JSON values at the start of a text."""
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        try:
            value, end = decoder.raw_decode(text)
        except json.JSONDecodeError:
            break
        found.append(value)
        text = text[end:]
    return found


class BufCurlTest(ServiceTest):
    def command(self, method: str, request: dict) -> list:
        url = f"http://{self.address}/chitchat.v1.ChitChatService/{method}"
        options = ["--protocol", "grpc", "--http2-prior-knowledge", "--schema", ROOT / "proto"]
        return [BUF, "curl", *options, "--data", json.dumps(request), url]

    def call(self, method: str, request: dict) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(method, request), capture_output=True, encoding="utf-8",
                              stdin=subprocess.DEVNULL, timeout=DEADLINE_SECONDS, check=False)

    def test_an_unknown_token_is_unauthenticated(self):
        answer = self.call("Publish", {"sessionToken": "made up", "text": "hello", "logicalTime": 1})
        self.assertEqual(answer.returncode, 8 * StatusCode.UNAUTHENTICATED.value[0], answer.stderr)
        error = json.loads(answer.stderr)
        self.assertEqual(error["code"], "unauthenticated")
        # Its values have no padding.
        details = [Any(type_url=f"type.googleapis.com/{detail['type']}",
                       value=base64.b64decode(detail["value"] + "=="))
                   for detail in error["details"]]
        info = error_info(details)
        self.assertEqual((info.domain, info.reason), ("chitchat", "SESSION_UNKNOWN"))

    def test_a_stream_is_opened_read_and_ended_by_leaving(self):
        stream = self.start("stream", self.command("Join", {"displayName": "åse", "logicalTime": 1}))
        output = self.folder / "stream.out"

        def frames() -> list[pb.JoinResponse]:
            return [ParseDict(value, pb.JoinResponse()) for value in values(output.read_text(encoding="utf-8"))]

        # While the stream goes on: the Welcome, and all that it promises.
        first = self.wait_for(stream, lambda: frames() if len(frames()) >= 3 else None)
        self.assertEqual([frame.WhichOneof("frame") for frame in first], ["welcome", "event", "caught_up"])
        welcome, joined = first[0].welcome, first[1].event
        self.assertEqual([member.display_name for member in welcome.participants], ["åse"])
        self.assertEqual((welcome.logical_time, joined.logical_time), (3, 3))
        self.assertEqual(joined.content, "Participant åse joined Chit Chat at logical time 3")

        token = welcome.session_token
        published = self.call("Publish", {"sessionToken": token, "text": "😀", "logicalTime": 6})
        self.assertEqual(published.returncode, 0, published.stderr)
        self.assertEqual(json.loads(published.stdout), {"sequence": "2", "logicalTime": "8"})
        left = self.call("Leave", {"sessionToken": token, "logicalTime": 11})
        self.assertEqual(left.returncode, 0, left.stderr)
        self.assertEqual(json.loads(left.stdout), {"sequence": "3", "logicalTime": "13"})

        self.assertEqual(stream.wait(DEADLINE_SECONDS), 0)
        [message] = frames()[3:]
        self.assertEqual((message.event.content, message.event.logical_time), ("😀", 8))

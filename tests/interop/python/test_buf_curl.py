"""`buf curl`, which uses Go's connect-go, against the real service: over gRPC and gRPC-Web, without TLS."""

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
SERVICE = "chitchat.v1.ChitChatService"

# The source of the schema: this repository, or the service itself.
BY_FILE = ["--schema", ROOT / "proto"]
BY_REFLECTION_V1 = ["--reflect-protocol", "grpc-v1"]
BY_REFLECTION_V1ALPHA = ["--reflect-protocol", "grpc-v1alpha"]

# The protocol; "h2c" is HTTP/2 from the first byte on, without TLS and without an upgrade.
GRPC = ["--protocol", "grpc", "--http2-prior-knowledge"]
GRPC_WEB_HTTP1 = ["--protocol", "grpcweb"]
GRPC_WEB_H2C = ["--protocol", "grpcweb", "--http2-prior-knowledge"]


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
    def command(self, options: list, method: str, request: dict) -> list:
        url = f"http://{self.address}/{SERVICE}/{method}"
        return [BUF, "curl", *options, "--data", json.dumps(request), url]

    def run_to_end(self, command: list) -> subprocess.CompletedProcess:
        return subprocess.run(command, capture_output=True, encoding="utf-8",
                              stdin=subprocess.DEVNULL, timeout=DEADLINE_SECONDS, check=False)

    def call(self, options: list, method: str, request: dict) -> dict:
        answer = self.run_to_end(self.command(options, method, request))
        self.assertEqual(answer.returncode, 0, answer.stderr)
        return json.loads(answer.stdout)

    def takes_part(self, options: list, transport: str) -> None:
        """Joins, publishes, receives and leaves."""
        stream = self.start("stream", self.command(options, "Join", {"displayName": "åse", "logicalTime": 1}))
        output = self.folder / "stream.out"

        def frames(count: int) -> list[pb.JoinResponse]:
            found = [ParseDict(value, pb.JoinResponse()) for value in values(output.read_text(encoding="utf-8"))]
            return found if len(found) >= count else []

        # While the stream is open: the Welcome and what must follow it.
        first = self.wait_for(stream, lambda: frames(3))
        self.assertEqual([frame.WhichOneof("frame") for frame in first], ["welcome", "event", "caught_up"])
        welcome, joined = first[0].welcome, first[1].event
        self.assertEqual([member.display_name for member in welcome.participants], ["åse"])
        self.assertEqual((welcome.logical_time, joined.logical_time), (3, 3))
        self.assertEqual(joined.content, "Participant åse joined Chit Chat at logical time 3")

        token = welcome.session_token
        published = self.call(options, "Publish", {"sessionToken": token, "text": "æ😀漢", "logicalTime": 6})
        self.assertEqual(published, {"sequence": "2", "logicalTime": "8"})
        # It arrives while the stream is open, not only at its end.
        message = self.wait_for(stream, lambda: frames(4))[3].event
        self.assertEqual((message.content, message.sequence, message.logical_time), ("æ😀漢", 2, 8))

        left = self.call(options, "Leave", {"sessionToken": token, "logicalTime": 11})
        self.assertEqual(left, {"sequence": "3", "logicalTime": "13"})
        self.assertEqual(stream.wait(DEADLINE_SECONDS), 0)
        self.assertEqual(len(frames(4)), 4)
        # The service saw the intended transport.
        self.assertEqual({record["transport"] for record in self.records("server.jsonl", "client_connected")},
                         {transport})

    def is_refused(self, options: list) -> None:
        request = {"sessionToken": "made up", "text": "hello", "logicalTime": 1}
        answer = self.run_to_end(self.command(options, "Publish", request))
        self.assertEqual(answer.returncode, 8 * StatusCode.UNAUTHENTICATED.value[0], answer.stderr)
        error = json.loads(answer.stderr)
        self.assertEqual(error["code"], "unauthenticated")
        # The values in its base64 have no padding.
        details = [Any(type_url=f"type.googleapis.com/{detail['type']}",
                       value=base64.b64decode(detail["value"] + "=="))
                   for detail in error["details"]]
        info = error_info(details)
        self.assertEqual((info.domain, info.reason), ("chitchat", "SESSION_UNKNOWN"))

    def test_takes_part_by_grpc(self):
        self.takes_part(GRPC + BY_FILE, "grpc")

    def test_takes_part_by_grpc_web_over_http1(self):
        self.takes_part(GRPC_WEB_HTTP1 + BY_FILE, "grpc-web")

    def test_takes_part_by_grpc_web_over_h2c(self):
        self.takes_part(GRPC_WEB_H2C + BY_FILE, "grpc-web")

    def test_takes_part_by_grpc_with_the_schema_by_reflection_v1(self):
        self.takes_part(GRPC + BY_REFLECTION_V1, "grpc")

    def test_takes_part_by_grpc_with_the_schema_by_reflection_v1alpha(self):
        self.takes_part(GRPC + BY_REFLECTION_V1ALPHA, "grpc")

    def test_takes_part_by_grpc_web_over_h2c_with_the_schema_by_reflection(self):
        self.takes_part(GRPC_WEB_H2C + BY_REFLECTION_V1, "grpc-web")

    def test_lists_the_services_and_their_methods_by_reflection(self):
        methods = [f"{SERVICE}/{method}" for method in ("Join", "Publish", "Leave", "ListEvents")]
        for options in (BY_REFLECTION_V1, BY_REFLECTION_V1ALPHA):
            with self.subTest(options[-1]):
                command = [BUF, "curl", *GRPC, *options, f"http://{self.address}"]
                self.assertIn(SERVICE, self.run_to_end([*command, "--list-services"]).stdout.splitlines())
                self.assertLessEqual(set(methods), set(self.run_to_end([*command, "--list-methods"]).stdout.split()))

    def test_an_unknown_token_is_unauthenticated_by_grpc(self):
        self.is_refused(GRPC + BY_FILE)

    def test_an_unknown_token_is_unauthenticated_by_grpc_web_over_http1(self):
        self.is_refused(GRPC_WEB_HTTP1 + BY_FILE)

    def test_an_unknown_token_is_unauthenticated_by_grpc_web_over_h2c(self):
        self.is_refused(GRPC_WEB_H2C + BY_FILE)

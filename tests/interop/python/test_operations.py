"""Health (`grpc.health.v1`) and server reflection, with grpcio's packages for them."""

import queue

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from processes import DEADLINE_SECONDS, ServiceTest

SERVICE = "chitchat.v1.ChitChatService"
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


class OperationsTest(ServiceTest):
    # Longer than any test waits: a service that uses up its drain time fails the test.
    SERVE_OPTIONS = ["--drain", "600s"]

    def setUp(self):
        super().setUp()
        self.channel = grpc.insecure_channel(self.address)
        self.addCleanup(self.channel.close)

    def reflection(self, version: str):
        """Opens a reflection stream in either version: v1 is v1alpha under another name."""
        requests = queue.SimpleQueue()
        method = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        call = self.channel.stream_stream(method, ServerReflectionRequest.SerializeToString,
                                          ServerReflectionResponse.FromString)
        answers = call(iter(requests.get, None), timeout=DEADLINE_SECONDS)
        self.addCleanup(requests.put, None)

        def ask(**question) -> ServerReflectionResponse:
            requests.put(ServerReflectionRequest(**question))
            return next(answers)

        return ask

    def test_is_serving(self):
        health = HealthStub(self.channel)
        for service in ("", SERVICE):
            with self.subTest(service):
                answer = health.Check(HealthCheckRequest(service=service), timeout=DEADLINE_SECONDS)
                self.assertEqual(answer.status, SERVING)

    def test_other_services_are_not_found(self):
        with self.assertRaises(grpc.RpcError) as refusal:
            HealthStub(self.channel).Check(HealthCheckRequest(service="other"), timeout=DEADLINE_SECONDS)
        self.assertEqual(refusal.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_stops_without_waiting_for_watchers_and_tells_them(self):
        health = HealthStub(self.channel)
        watches = [health.Watch(HealthCheckRequest(service=service), timeout=DEADLINE_SECONDS)
                   for service in ("", SERVICE)]
        for watch in watches:
            self.assertEqual(next(watch).status, SERVING)
        ask = self.reflection("v1")
        self.assertTrue(ask(list_services="").HasField("list_services_response"))

        self.server.terminate()
        for watch in watches:
            # NOT_SERVING or nothing; then the service ends the stream, not our deadline.
            with self.assertRaises(grpc.RpcError) as end:
                for answer in watch:
                    self.assertEqual(answer.status, NOT_SERVING)
            self.assertEqual(end.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(self.server.wait(DEADLINE_SECONDS), 0)

    def test_grpcio_reflection_finds_the_service(self):
        database = ProtoReflectionDescriptorDatabase(self.channel)
        self.assertIn(SERVICE, database.get_services())
        service = DescriptorPool(database).FindServiceByName(SERVICE)
        self.assertEqual([method.name for method in service.methods], ["Join", "Publish", "Leave", "ListEvents"])
        self.assertEqual((service.methods[0].client_streaming, service.methods[0].server_streaming), (False, True))
        self.assertEqual(service.methods[1].input_type.fields_by_name["session_token"].number, 1)

    def test_both_versions_of_reflection_list_and_describe_the_service(self):
        for version in ("v1", "v1alpha"):
            with self.subTest(version):
                ask = self.reflection(version)
                listed = {service.name for service in ask(list_services="").list_services_response.service}
                self.assertLessEqual(
                    {SERVICE, "grpc.health.v1.Health", f"grpc.reflection.{version}.ServerReflection"}, listed)
                answer = ask(file_containing_symbol=SERVICE).file_descriptor_response
                files = [FileDescriptorProto.FromString(file) for file in answer.file_descriptor_proto]
                self.assertIn("chitchat/v1/chitchat.proto", [file.name for file in files])

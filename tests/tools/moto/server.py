"""moto's server, with repairs.

What works on AWS but not on stock moto 5.2.1:

* AWS gives a new load balancer a health check; moto gives none, and the AWS
  cloud controller dereferences it.
* moto answers a listener's instance protocol with its front protocol, so the
  controller sees a difference at every sync and replaces the listener.
* Creating a bucket that another account has is refused with
  BucketAlreadyExists; with accounts kept apart, moto says AccessDenied.
* With IAM enforced, moto verifies the signature of a query that it has already
  decoded (a listing with a "/" in its prefix never matches), knows no
  presigned URLs, and wants s3:DeleteObject on the bucket for a bulk delete.
* IAM and ACM calls are checked against the user, policy or certificate that
  they name; moto asks whether they are allowed on everything.
* A part of an upload that does not exist, and completing one, is NoSuchUpload;
  moto fails with 500.
* A user cannot be deleted while it has access keys, and a deactivated key
  opens nothing. Moto ignores both, and would hide a wrong order of deletion or
  of a key's rotation.

Nothing else about moto changes here. Policy conditions and ExpectedBucketOwner
are still ignored: tests must not rely on them.
"""

import json
from typing import Any

import flask
import xmltodict
from botocore.awsrequest import AWSRequest
from moto.core.authorization import ActionAuthenticatorMixin
from moto.elb import models
from moto.iam.access_control import (
    CreateAccessKeyFailure,
    IAMUserAccessKey,
    S3IAMRequest,
)
from moto.iam.exceptions import DeleteConflictException
from moto.iam.models import IAMBackend, iam_backends
from moto.s3.exceptions import BucketAlreadyExists, BucketError, NoSuchUpload
from moto.s3.models import S3Backend, s3_backends
from moto.s3.responses import S3Response
from moto.server import main


class BucketOfSomebodyElse(BucketError):
    """Moto catches its own BucketAlreadyExists and looks into the bucket."""

    code = BucketAlreadyExists.code

    def __init__(self, bucket: str) -> None:
        super().__init__("The requested bucket name is not available.")
        self.bucket_name = bucket


def _give_new_balancers_the_default_health_check() -> None:
    """A TCP check of the first instance port, as AWS documents for a new one."""
    original = models.LoadBalancer.__init__

    def init(self: models.LoadBalancer, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        port = self.listeners[0].instance_port
        self.health_check = models.FakeHealthCheck(
            timeout="5",
            healthy_threshold="10",
            unhealthy_threshold="2",
            interval="30",
            target=f"TCP:{port}",
        )

    models.LoadBalancer.__init__ = init


def _requested_protocols(ports: list[dict[str, Any]]) -> dict[str, str]:
    return {
        str(port["LoadBalancerPort"]): port["InstanceProtocol"].upper()
        for port in ports
        if port.get("InstanceProtocol")
    }


def _remember_instance_protocols() -> None:
    """Listeners answer the instance protocol that was asked for."""
    backend = models.ELBBackend
    create_balancer = backend.create_load_balancer
    create_listeners = backend.create_load_balancer_listeners

    def instance_protocol(self: models.FakeListener) -> str:
        return getattr(self, "asked_instance_protocol", self.protocol)

    def remember(balancer: Any, ports: list[dict[str, Any]]) -> Any:
        asked = _requested_protocols(ports)
        for listener in balancer.listeners if balancer else []:
            protocol = asked.get(str(listener.load_balancer_port))
            if protocol:
                listener.asked_instance_protocol = protocol
        return balancer

    def create_load_balancer(
        self: Any, name: str, zones: Any, ports: Any, *args: Any, **kwargs: Any
    ) -> Any:
        created = create_balancer(self, name, zones, ports, *args, **kwargs)
        return remember(created, ports)

    def create_load_balancer_listeners(self: Any, name: str, ports: Any) -> Any:
        return remember(create_listeners(self, name, ports), ports)

    models.FakeListener.instance_protocol = property(instance_protocol)
    backend.create_load_balancer = create_load_balancer
    backend.create_load_balancer_listeners = create_load_balancer_listeners


def _refuse_names_of_other_accounts() -> None:
    original = S3Backend.create_bucket

    def create_bucket(self: S3Backend, bucket_name: str, *args: Any, **kwargs: Any) -> Any:
        _, owner = s3_backends.bucket_accounts.get(bucket_name, (None, None))
        if owner not in (None, self.account_id):
            raise BucketOfSomebodyElse(bucket_name)
        return original(self, bucket_name, *args, **kwargs)

    S3Backend.create_bucket = create_bucket


def _verify_signatures_over_what_was_sent() -> None:
    def calculate(self: S3IAMRequest) -> str:
        path, _, query = flask.request.environ["RAW_URI"].partition("?")
        presigned = "X-Amz-Signature" in flask.request.args
        pairs = [pair for pair in query.split("&") if not pair.startswith("X-Amz-Signature=")]
        between = self._get_string_between
        signed = between("SignedHeaders=", ",", self._headers["Authorization"]).split(";")
        request = AWSRequest(
            method=self._method,
            url=f"{path}?{'&'.join(pairs)}",
            data=self._body or self._data,
            headers=self._create_headers_for_aws_request(signed, self._headers),
        )
        request.context["timestamp"] = self._headers["X-Amz-Date"]
        auth = self._create_auth(self._access_key.create_credentials())
        if presigned:
            auth.payload = lambda _: "UNSIGNED-PAYLOAD"
        canonical = auth.canonical_request(request)
        return auth.signature(auth.string_to_sign(request, canonical), request)

    S3IAMRequest._calculate_signature = calculate


def _judge_presigned_urls() -> None:
    """By the key that signed them. That they expire is not looked at."""
    original = ActionAuthenticatorMixin._authenticate_and_authorize_action

    def judge(self: Any, request_class: type, resource: str = "*") -> None:
        query = flask.request.args
        if "Authorization" not in self.headers and "X-Amz-Signature" in query:
            self.headers = {
                **dict(self.headers),
                "X-Amz-Date": query["X-Amz-Date"],
                "Authorization": f"{query['X-Amz-Algorithm']} Credential={query['X-Amz-Credential']}, "
                f"SignedHeaders={query['X-Amz-SignedHeaders']}, Signature={query['X-Amz-Signature']}",
            }
        original(self, request_class, resource)

    ActionAuthenticatorMixin._authenticate_and_authorize_action = judge


def _judge_bulk_deletes_by_their_keys() -> None:
    original = S3Response._authenticate_and_authorize_s3_action

    def judge(self: S3Response, bucket_name: Any = None, key_name: Any = None) -> None:
        if key_name is not None or not self.is_delete_keys():
            return original(self, bucket_name=bucket_name, key_name=key_name)
        objects = xmltodict.parse(self.body, strip_whitespace=False)["Delete"].get("Object", [])
        for item in objects if isinstance(objects, list) else [objects]:
            original(self, bucket_name=bucket_name, key_name=item["Key"])

    S3Response._authenticate_and_authorize_s3_action = judge


def _named_in_an_iam_call(call: Any) -> str:
    """ARN of the user, policy or certificate that the call is about."""
    backend = iam_backends[call.current_account][call.partition]
    sent = {key: values[0] for key, values in call.querystring.items()}
    arn = f"arn:{call.partition}:iam::{call.current_account}"
    if name := sent.get("UserName"):
        # AWS too knows the path of a user only once there is one.
        user = backend.users.get(name)
        return f"{arn}:user{user.path if user else sent.get('Path', '/')}{name}"
    if name := sent.get("ServerCertificateName"):
        found = [known for known in backend.certificates.values() if known.cert_name == name]
        return found[0].arn if found else f"{arn}:server-certificate/{name}"
    if policy := sent.get("PolicyArn"):
        return policy
    if policy := sent.get("PolicyName"):
        return f"{arn}:policy{sent.get('Path', '/')}{policy}"
    return "*"


def _judge_calls_by_what_they_name() -> None:
    """Stock moto asks whether IAM and ACM calls are allowed on everything."""
    original = ActionAuthenticatorMixin._authenticate_and_authorize_normal_action

    def judge(self: Any, resource: str = "*") -> None:
        if self.service_name == "iam":
            resource = _named_in_an_iam_call(self)
        elif self.service_name == "acm" and self.body:
            resource = json.loads(self.body).get("CertificateArn", resource)
        original(self, resource)

    ActionAuthenticatorMixin._authenticate_and_authorize_normal_action = judge


def _know_which_uploads_there_are() -> None:
    def known(original: Any) -> Any:
        def call(self: S3Backend, bucket_name: str, multipart_id: str, *args: Any, **kwargs: Any) -> Any:
            if multipart_id not in self.get_bucket(bucket_name).multiparts:
                raise NoSuchUpload(upload_id=multipart_id)
            return original(self, bucket_name, multipart_id, *args, **kwargs)

        return call

    S3Backend.upload_part = known(S3Backend.upload_part)
    S3Backend.complete_multipart_upload = known(S3Backend.complete_multipart_upload)


def _keep_users_with_keys() -> None:
    original = IAMBackend.delete_user

    def delete_user(self: IAMBackend, user_name: str) -> None:
        if self.get_user(user_name).access_keys:
            raise DeleteConflictException(
                "Cannot delete entity, must delete access keys first."
            )
        original(self, user_name)

    IAMBackend.delete_user = delete_user


def _refuse_deactivated_keys() -> None:
    original = IAMUserAccessKey.__init__

    def init(self: IAMUserAccessKey, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        for user in self.backend.list_users("/", None, None):
            for key in user.access_keys:
                if key.access_key_id == self._access_key_id and key.status != "Active":
                    raise CreateAccessKeyFailure(reason="InvalidId")

    IAMUserAccessKey.__init__ = init


if __name__ == "__main__":
    _verify_signatures_over_what_was_sent()
    _judge_presigned_urls()
    _judge_bulk_deletes_by_their_keys()
    _judge_calls_by_what_they_name()
    _know_which_uploads_there_are()
    _keep_users_with_keys()
    _refuse_deactivated_keys()
    _refuse_names_of_other_accounts()
    _give_new_balancers_the_default_health_check()
    _remember_instance_protocols()
    main()
